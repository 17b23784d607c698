// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"context"
	"time"

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
		to := registry.Signing{
			Scheme: r.Scheme, Slot: freshSlot(sub.Signing.Slot, sub.Signing.PreviousSlot), PreviousUntil: until,
		}
		at := Seat{registry.Erasure{UserID: sub.UserID, Account: registry.WebhookAccount(id, to.Slot)}, sub.Signing.Version}
		if to.Version, err = e.sealOne(ctx, Sealing{at, SigningKey{keys.sealed}}); err != nil {
			return err
		}
		if err := e.Store.Rotate(ctx, sub, to, now); err != nil {
			e.giveUp(ctx, at.Erasure)
			return err
		}
		return nil
	})
	if err != nil {
		return Keys{}, time.Time{}, err
	}
	return keys, until, nil
}
