// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"context"
	"time"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/services/admin-api/internal/registry"
)

// The steps of a subscription whose endpoint is gone, as Config.Count is told.
const (
	// GoneDisabled means that it was disabled, and is kept.
	GoneDisabled = "disabled"
	// GoneRestored means that somebody has restored it.
	GoneRestored = "restored"
	// GoneDeleted means that its time is over.
	GoneDeleted = "deleted"
)

// count tells whoever counts.
func (e *Edge) count(step string) {
	if e.Count != nil {
		e.Count(step)
	}
}

// Restore lets a subscription whose endpoint was gone be pushed to again, at its cursor.
func (e *Edge) Restore(ctx context.Context, id string) error {
	err := e.change(ctx, id, everywhere, func(registry.Subscription) error { return e.Store.Restore(ctx, id) })
	if err == nil {
		e.count(GoneRestored)
	}
	return err
}

// expireBatch is how many subscriptions are deleted in one go.
const expireBatch = 100

// DeleteGone deletes one batch of the subscriptions that have been kept long enough after
// their endpoints were gone. Several replicas do so at once: each is deleted by one of
// them.
func (e *Edge) DeleteGone(ctx context.Context) error {
	now := time.Now()
	ids, err := e.Store.Expired(ctx, now, expireBatch)
	if err != nil {
		return err
	}
	for _, id := range ids {
		sub, err := e.Store.Subscription(ctx, id)
		if err == nil {
			err = e.remove(ctx, sub.UserID, reasonGone, func() (registry.Removed, error) { return e.Store.Expire(ctx, id, now) })
		}
		switch {
		case fault.KindOf(err) == fault.NotFound: // deleted or restored meanwhile
		case err != nil:
			return err
		default:
			e.count(GoneDeleted)
		}
	}
	return nil
}
