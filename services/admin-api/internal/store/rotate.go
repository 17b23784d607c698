// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/services/admin-api/internal/registry"
)

// Rotate makes a secret that has just been sealed the signing secret of a
// subscription; the one before stays in force until its time. Precondition while an
// earlier rotation lasts; Unavailable when another call was faster.
func (s *Store) Rotate(ctx context.Context, id string, to registry.Signing, now time.Time) error {
	err := s.change(ctx, id, func(_ *gorm.DB, row *subscriptionRow) error {
		if row.SecretSlot == int32(to.Slot) {
			// Another replica has rotated into the same slot. Whoever sealed last has its
			// secret in the vault, and must win here, too.
			if row.SecretVersion >= signed(to.Version) {
				return fault.New(fault.Unavailable, "another call has changed the signing secret; try again")
			}
		} else if until := moment(row.PreviousSecretUntil); until.After(now) {
			return registry.RotationLasts(until)
		}
		row.Signature, row.SecretVersion, row.SecretSlot = string(to.Scheme), signed(to.Version), int32(to.Slot)
		row.PreviousSecretUntil = micros(to.PreviousUntil)
		row.Revision++
		return nil
	})
	if err != nil {
		return fmt.Errorf("rotating the secret of subscription %s: %w", id, err)
	}
	return nil
}
