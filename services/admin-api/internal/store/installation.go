// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// installationRow is the one row of its table.
type installationRow struct {
	Row  int64 `gorm:"primaryKey;autoIncrement:false"`
	Name string
}

func (installationRow) TableName() string { return "installation" }

// Installation is the name of the installation this registry is of: random, made by
// whoever asks first, the same for all replicas, and kept wherever the data moves.
func (s *Store) Installation(ctx context.Context) (string, error) {
	row := installationRow{Row: 1, Name: strings.ToLower(rand.Text())}
	err := s.write(ctx, func(tx *gorm.DB) error {
		if err := tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&row).Error; err != nil {
			return err
		}
		return tx.Take(&row, 1).Error
	})
	if err != nil {
		return "", fmt.Errorf("reading the installation's name: %w", err)
	}
	return row.Name, nil
}
