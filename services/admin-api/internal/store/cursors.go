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

// CommitCursors stores cursors under their shards' claims, all in one
// transaction, and returns the claims refused because a higher epoch is open.
// Under one UIDVALIDITY a cursor never moves backwards. Subscriptions that are
// unknown or not of the claimed shard are passed over.
func (s *Store) CommitCursors(ctx context.Context, shards uint32, batch []registry.ShardCursors) ([]registry.Claim, error) {
	var refused []registry.Claim
	err := s.write(ctx, func(tx *gorm.DB) error {
		claims := make([]registry.Claim, len(batch))
		for i, b := range batch {
			claims[i] = b.Claim
		}
		var err error
		if refused, err = stale(locked(tx), claims); err != nil {
			return err
		}
		wanted := make(map[string]uint32) // the shard each subscription must be of
		rows := make(map[[2]string]cursorRow)
		for _, b := range batch {
			if slices.Contains(refused, b.Claim) {
				continue
			}
			for _, c := range b.Cursors {
				wanted[c.Subscription] = b.Claim.Shard
				merge(rows, newCursorRow(c.Subscription, c.Cursor))
			}
		}
		known, err := ofShard(tx, wanted, shards)
		if err != nil {
			return err
		}
		return putCursors(tx, rows, known)
	})
	if err != nil {
		return nil, fmt.Errorf("committing cursors: %w", err)
	}
	return refused, nil
}

// merge keeps the furthest of several cursors of one folder: one statement may
// not write a row twice.
func merge(rows map[[2]string]cursorRow, row cursorRow) {
	at := [2]string{row.SubscriptionID, row.FolderKey}
	if old, ok := rows[at]; ok && old.UIDValidity == row.UIDValidity {
		row.UID = max(row.UID, old.UID)
	}
	rows[at] = row
}

// ofShard returns which of the subscriptions exist and are of the shard they are
// wanted in, and locks them, so that none is removed before its cursor is stored.
func ofShard(tx *gorm.DB, wanted map[string]uint32, shards uint32) (map[string]bool, error) {
	ids := make([]string, 0, len(wanted))
	for id := range wanted {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	known := make(map[string]bool, len(ids))
	for part := range slicesOf(ids) {
		var rows []subscriptionRow
		err := locked(tx).Select("id", "cell").Where("id IN ?", part).Order("id").Find(&rows).Error
		if err != nil {
			return nil, fmt.Errorf("reading the subscriptions of cursors: %w", err)
		}
		for _, r := range rows {
			known[r.ID] = r.Cell>>cellBits(shards) == int64(wanted[r.ID])
		}
	}
	return known, nil
}

func putCursors(tx *gorm.DB, rows map[[2]string]cursorRow, known map[string]bool) error {
	list := make([]cursorRow, 0, len(rows))
	for _, r := range rows {
		if known[r.SubscriptionID] {
			list = append(list, r)
		}
	}
	slices.SortFunc(list, func(a, b cursorRow) int {
		return cmp.Or(cmp.Compare(a.SubscriptionID, b.SubscriptionID), cmp.Compare(a.FolderKey, b.FolderKey))
	})
	// MariaDB assigns from left to right: uid has to look at the old uid_validity.
	forward := clause.Set{
		assign(tx, "cursors", "uid", "CASE WHEN "+stored("cursors", "uid_validity")+" = "+offered(tx, "uid_validity")+
			" AND @old > @new THEN @old ELSE @new END"),
		assign(tx, "cursors", "uid_validity", "@new"),
	}
	for part := range slices.Chunk(list, chunk) {
		err := tx.Clauses(clause.OnConflict{
			Columns:   []clause.Column{{Name: "subscription_id"}, {Name: "folder_key"}},
			DoUpdates: forward,
		}).Create(&part).Error
		if err != nil {
			return fmt.Errorf("storing cursors: %w", err)
		}
	}
	return nil
}
