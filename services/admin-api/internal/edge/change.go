// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"context"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/services/admin-api/internal/registry"
)

// change changes a subscription under its user's lock and tells the shard's owner.
func (e *Edge) change(
	ctx context.Context, id string, covers func(contextID string) bool, fn func(registry.Subscription) error,
) error {
	sub, err := e.Store.Subscription(ctx, id)
	if err != nil {
		return err
	}
	if !covers(sub.Context) {
		return fault.New(fault.NotFound, "no such subscription: %s", id)
	}
	unlock, err := e.locks.lock(ctx, sub.UserID)
	if err != nil {
		return err
	}
	defer unlock()
	if sub, err = e.Store.Subscription(ctx, id); err != nil { // another call may have been faster
		return err
	}
	// Read before the change: after it the caller may have gone away.
	user, err := e.Store.User(ctx, sub.UserID)
	if err != nil {
		return err
	}
	if err := fn(sub); err != nil {
		return err
	}
	e.touch(ctx, sub.UserID, user.Store)
	return nil
}
