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
