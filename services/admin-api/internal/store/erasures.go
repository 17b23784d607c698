// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"fmt"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"mailpush.internal/services/admin-api/internal/registry"
)

// Erase notes credentials that must leave the vault.
func (s *Store) Erase(ctx context.Context, erasures []registry.Erasure) error {
	return putErasures(s.db.WithContext(ctx), erasures)
}

func putErasures(tx *gorm.DB, erasures []registry.Erasure) error {
	if len(erasures) == 0 {
		return nil
	}
	rows := make([]erasureRow, len(erasures))
	for i, e := range erasures {
		rows[i] = newErasureRow(e)
	}
	if err := tx.Clauses(clause.OnConflict{DoNothing: true}).CreateInBatches(rows, chunk).Error; err != nil {
		return fmt.Errorf("noting credentials to erase: %w", err)
	}
	return nil
}

// Erasures returns up to limit credentials that must still leave the vault.
func (s *Store) Erasures(ctx context.Context, limit int) ([]registry.Erasure, error) {
	var rows []erasureRow
	if err := s.db.WithContext(ctx).Order("user_key, account").Limit(limit).Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("reading credentials to erase: %w", err)
	}
	out := make([]registry.Erasure, len(rows))
	for i, r := range rows {
		out[i] = r.erasure()
	}
	return out, nil
}

// Noted says whether the credential must still leave the vault.
func (s *Store) Noted(ctx context.Context, e registry.Erasure) (bool, error) {
	var count int64
	err := s.db.WithContext(ctx).Model(&erasureRow{}).
		Where("user_key = ? AND account = ?", e.Key(), e.Account).Count(&count).Error
	if err != nil {
		return false, fmt.Errorf("reading a credential to erase: %w", err)
	}
	return count > 0, nil
}

// Erased forgets the note, because the credential has left the vault or is about
// to be stored anew. Forgetting what was never noted is no error.
func (s *Store) Erased(ctx context.Context, e registry.Erasure) error {
	err := s.db.WithContext(ctx).Where("user_key = ? AND account = ?", e.Key(), e.Account).Delete(&erasureRow{}).Error
	if err != nil {
		return fmt.Errorf("forgetting an erased credential: %w", err)
	}
	return nil
}
