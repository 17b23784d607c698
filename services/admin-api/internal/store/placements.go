// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"gorm.io/gorm"

	"mailpush.internal/services/admin-api/internal/registry"
)

// migratePlacements remembers which backend a mail store had, so that a change of it in the
// configuration is noticed.
func migratePlacements(tx *gorm.DB) error { return tx.AutoMigrate(&placements1{}) }

type placements1 struct {
	Store   string `gorm:"primaryKey;size:64"`
	Backend string `gorm:"size:64;not null"`
	Since   int64  `gorm:"not null"`
}

func (placements1) TableName() string { return "placements" }

type placementRow struct {
	Store   string `gorm:"primaryKey"`
	Backend string
	Since   int64 // microseconds since 1970; zero for as long as is known
}

func (placementRow) TableName() string { return "placements" }

// Place notes the backend of each mail store, and returns what the former one was of those
// that have another now.
func (s *Store) Place(ctx context.Context, backends map[string]string, now time.Time) (former map[string]string, err error) {
	err = s.write(ctx, func(tx *gorm.DB) error {
		former = make(map[string]string)
		for _, store := range slices.Sorted(maps.Keys(backends)) {
			row := placementRow{Store: store, Backend: backends[store]}
			var old placementRow
			err := locked(tx).Where("store = ?", store).Take(&old).Error
			switch {
			case errors.Is(err, gorm.ErrRecordNotFound):
			case err != nil:
				return err
			case old.Backend == row.Backend:
				continue
			default:
				row.Since, former[store] = now.UnixMicro(), old.Backend
			}
			if err := tx.Save(&row).Error; err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("noting the backends of mail stores: %w", err)
	}
	return former, nil
}

// Placements returns the backend of each mail store that was noted last, by any replica.
func (s *Store) Placements(ctx context.Context) (map[string]registry.Placement, error) {
	var rows []placementRow
	if err := s.db.WithContext(ctx).Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("reading the backends of mail stores: %w", err)
	}
	out := make(map[string]registry.Placement, len(rows))
	for _, r := range rows {
		out[r.Store] = registry.Placement{Backend: r.Backend, Since: time.UnixMicro(r.Since)}
	}
	return out, nil
}

// UsersByStore counts the users of each mail store, also of those that no configuration
// names. It looks at every user.
func (s *Store) UsersByStore(ctx context.Context) ([]registry.StoreUsers, error) {
	var counts []registry.StoreUsers
	err := s.db.WithContext(ctx).Model(&userRow{}).Select("store, COUNT(*) AS users").Group("store").Order("store").Find(&counts).Error
	if err != nil {
		return nil, fmt.Errorf("counting the users of mail stores: %w", err)
	}
	return counts, nil
}

// OpenedShards returns the shards of a backend that somebody has held, ascending.
func (s *Store) OpenedShards(ctx context.Context, backend string) ([]uint32, error) {
	var shards []uint32
	err := s.db.WithContext(ctx).Model(&epochRow{}).Where("backend = ?", backend).Order("shard").Pluck("shard", &shards).Error
	if err != nil {
		return nil, fmt.Errorf("listing the shards of %s: %w", backend, err)
	}
	return shards, nil
}
