// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"mailpush.internal/services/admin-api/internal/registry"
)

// OpenEpochs makes each claim's epoch the newest of its shard. It returns the
// claims refused because a higher epoch is open; an equal one is accepted again, for a
// worker asks again when it has lost the answer, or is in doubt whether it still holds.
//
// Epochs are raised first, and read then, under the locks that raising has taken: of two
// workers that open at once the lower one is refused, whoever comes first.
func (s *Store) OpenEpochs(ctx context.Context, claims []registry.Claim) ([]registry.Claim, error) {
	var refused []registry.Claim
	err := s.write(ctx, func(tx *gorm.DB) error {
		for part := range slices.Chunk(newest(claims), chunk) {
			err := tx.Clauses(clause.OnConflict{
				Columns:   []clause.Column{{Name: "backend"}, {Name: "shard"}},
				DoUpdates: clause.Set{assign(tx, "epochs", "epoch", "CASE WHEN @new > @old THEN @new ELSE @old END")},
			}).Create(&part).Error
			if err != nil {
				return fmt.Errorf("storing epochs: %w", err)
			}
		}
		var err error
		refused, err = stale(locked(tx), claims)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("opening epochs: %w", err)
	}
	return refused, nil
}

// newest keeps the highest epoch of each shard, in the order in which rows are
// always locked. One statement may not write a row twice.
func newest(claims []registry.Claim) []epochRow {
	top := make(map[registry.Shard]uint64, len(claims))
	for _, c := range claims {
		top[c.Shard] = max(top[c.Shard], c.Epoch)
	}
	rows := make([]epochRow, 0, len(top))
	for at, epoch := range top {
		rows = append(rows, epochRow{Backend: at.Backend, Shard: int64(at.Number), Epoch: signed(epoch)})
	}
	slices.SortFunc(rows, func(a, b epochRow) int {
		return cmp.Or(cmp.Compare(a.Backend, b.Backend), cmp.Compare(a.Shard, b.Shard))
	})
	return rows
}

// locked makes reads lock the rows they find, so that none of them changes before
// the transaction ends. SQLite's one writer needs no locks and takes none.
func locked(tx *gorm.DB) *gorm.DB {
	return tx.Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate}).Session(&gorm.Session{})
}

// stale returns the claims below the newest epoch of their shard. A shard that nobody has
// opened fences nothing. With locked rows the answer is true until the transaction ends;
// without, it was true a moment ago.
func stale(tx *gorm.DB, claims []registry.Claim) ([]registry.Claim, error) {
	open := make(map[registry.Shard]uint64, len(claims))
	for part := range slices.Chunk(newest(claims), chunk) {
		byBackend := make(map[string][]int64)
		for _, r := range part {
			byBackend[r.Backend] = append(byBackend[r.Backend], r.Shard)
		}
		for backend, shards := range byBackend {
			var rows []epochRow
			err := tx.Where("backend = ? AND shard IN ?", backend, shards).Order("shard").Find(&rows).Error
			if err != nil {
				return nil, fmt.Errorf("reading epochs: %w", err)
			}
			for _, r := range rows {
				open[registry.Shard{Backend: r.Backend, Number: uint32(r.Shard)}] = unsigned(r.Epoch)
			}
		}
	}
	var refused []registry.Claim
	for _, c := range claims {
		if c.Epoch < open[c.Shard] {
			refused = append(refused, c)
		}
	}
	return refused, nil
}

// Fenced returns those of the claims that a higher epoch has put an end to. It takes no
// lock: it is for callers that write nothing by it, or what a version of its own guards.
func (s *Store) Fenced(ctx context.Context, claims []registry.Claim) ([]registry.Claim, error) {
	return stale(s.db.WithContext(ctx), claims)
}

// MaxEpoch is the highest epoch ever opened, 0 when none was. New grants must be above it:
// an etcd that was set up anew counts its revisions from one, below what workers hold.
func (s *Store) MaxEpoch(ctx context.Context) (uint64, error) {
	var top int64
	err := s.reader.WithContext(ctx).Model(&epochRow{}).Select("COALESCE(MAX(epoch), 0)").Scan(&top).Error
	if err != nil {
		return 0, fmt.Errorf("reading the highest epoch: %w", err)
	}
	return unsigned(top), nil
}
