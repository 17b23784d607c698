// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"crypto/rand"
	"errors"
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
// whoever asks first, the same for all replicas, and kept wherever the data moves. Of
// replicas that ask at once one stores its name, and all read that one.
func (s *Store) Installation(ctx context.Context) (string, error) {
	var name string
	err := s.write(ctx, func(tx *gorm.DB) error {
		var err error
		name, err = installationOf(tx)
		return err
	})
	return name, err
}

// installationOf is Installation as a part of something else.
func installationOf(tx *gorm.DB) (string, error) {
	var row installationRow
	err := tx.Take(&row, 1).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		made := installationRow{Row: 1, Name: strings.ToLower(rand.Text())}
		if err = tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&made).Error; err == nil {
			err = tx.Take(&row, 1).Error
		}
	}
	if err != nil {
		return "", fmt.Errorf("reading the installation's name: %w", err)
	}
	return row.Name, nil
}
