// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"

	"mailpush.internal/services/admin-api/internal/registry"
)

// Rotate makes a secret that has just been sealed into a reserved account the signing
// secret of a subscription; the one before stays in force until its time, and is then
// erased. Precondition while an earlier rotation lasts, for pushes are signed by two
// secrets at most; Unavailable when another call was faster. The secret before is kept for
// a while longer than it signs: workers hear of the change late.
func (s *Store) Rotate(ctx context.Context, sub registry.Subscription, to registry.Signing, now time.Time) error {
	err := s.change(ctx, sub.ID, func(tx *gorm.DB, row *subscriptionRow) (happened registry.HistoryEntry, err error) {
		if until := moment(row.PreviousSecretUntil); until.After(now) {
			return happened, registry.RotationLasts(until)
		}
		if row.SecretVersion >= signed(to.Version) {
			return happened, secretChanged()
		}
		sealed := registry.Erasure{UserID: sub.UserID, Account: registry.WebhookAccount(sub.ID, to.Slot)}
		if err := release(tx, sealed); err != nil {
			return happened, err
		}
		due := to.PreviousUntil.Add(registry.Lingers).UnixMicro()
		if err := putErasures(tx, row.erasures(sub.UserID), due); err != nil {
			return happened, err
		}
		to.PreviousSlot = uint32(row.slot())
		*row = row.with(to)
		row.Revision++
		lasts := "the secret before signs until " + to.PreviousUntil.UTC().Format(time.RFC3339)
		return row.happened(registry.SecretRotated, lasts), nil
	})
	if err != nil {
		return fmt.Errorf("rotating the secret of subscription %s: %w", sub.ID, err)
	}
	return nil
}
