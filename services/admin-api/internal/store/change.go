// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"fmt"

	"gorm.io/gorm"
)

// change changes one subscription under its lock; NotFound when there is none. The row is
// written back whole: nobody can have written to it since it was read.
func (s *Store) change(ctx context.Context, id string, fn func(tx *gorm.DB, row *subscriptionRow) error) error {
	return s.write(ctx, func(tx *gorm.DB) error {
		known, err := lockSubscriptions(tx, []string{id}, "*")
		if err != nil {
			return err
		}
		row, ok := known[id]
		if !ok {
			return noSubscription(id)
		}
		if err := fn(tx, &row); err != nil {
			return err
		}
		if err := tx.Select("*").Updates(&row).Error; err != nil {
			return fmt.Errorf("storing the subscription: %w", err)
		}
		return nil
	})
}
