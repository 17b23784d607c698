// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"context"
	"time"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/pkg/secret"
	"mailpush.internal/services/admin-api/internal/registry"
)

// Rotation asks for a new signing secret.
type Rotation struct {
	Scheme  registry.Scheme
	Secret  secret.String // zero: one is made
	Overlap time.Duration // for how long the one before stays in force
}

// Rotate seals a new signing secret beside the current one and has both sign until
// the returned moment. Precondition while an earlier rotation lasts. A subscription of
// a context that covers does not accept does not exist for the caller.
func (e *Edge) Rotate(
	ctx context.Context, id string, r Rotation, covers func(contextID string) bool,
) (keys Keys, until time.Time, err error) {
	if err := checkSecret("secret", r.Scheme, r.Secret); err != nil {
		return Keys{}, time.Time{}, err
	}
	err = e.change(ctx, id, covers, func(sub registry.Subscription) error {
		now := time.Now()
		if last := sub.Signing.PreviousUntil; last.After(now) {
			return registry.RotationLasts(last)
		}
		keys, until = newKeys(r.Scheme, r.Secret), now.Add(r.Overlap)
		to := registry.Signing{Scheme: r.Scheme, Slot: 1 - sub.Signing.Slot, PreviousUntil: until}
		to.Version, err = e.Vault.SealWebhook(ctx, sub.UserID, registry.WebhookAccount(id, to.Slot), keys.sealed)
		if err != nil {
			return err
		}
		return e.Store.Rotate(ctx, id, to, now)
	})
	if err != nil {
		return Keys{}, time.Time{}, err
	}
	return keys, until, nil
}

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
	if err := fn(sub); err != nil {
		return err
	}
	user, err := e.Store.User(ctx, sub.UserID)
	if err != nil {
		return err
	}
	return e.touch(ctx, sub.UserID, user.Store)
}
