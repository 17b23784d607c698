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

// CommitCursors stores cursors and dead letters under their shards' claims, all in
// one transaction, and returns the claims refused because a higher epoch is open.
// Under one UIDVALIDITY a cursor moves backwards only when it says so. Subscriptions
// that are unknown or not of the claimed shard are passed over, as are cursors of
// another replay than the stored one.
//
// The claims' epochs stay locked to the end: a worker that opens a higher one waits until
// these cursors are there for it to read, or comes first and has them refused. A refused
// claim does not fail the others: they are other shards, which the worker still holds. The
// same batch may come twice, and late, for the answer to it may be lost.
func (s *Store) CommitCursors(ctx context.Context, shards uint32, batch []registry.ShardCursors) ([]registry.Claim, error) {
	var refused []registry.Claim
	err := s.record(ctx, func(tx *gorm.DB) ([]registry.HistoryEntry, error) {
		claims := make([]registry.Claim, len(batch))
		for i, b := range batch {
			claims[i] = b.Claim
		}
		var err error
		if refused, err = stale(locked(tx), claims); err != nil {
			return nil, err
		}
		accepted := slices.DeleteFunc(slices.Clone(batch), func(b registry.ShardCursors) bool {
			return slices.Contains(refused, b.Claim)
		})
		known, err := named(tx, accepted)
		if err != nil {
			return nil, err
		}
		if err := putCursors(tx, accepted, known, shards); err != nil {
			return nil, err
		}
		if err := putDeadLetters(tx, accepted, known, shards); err != nil {
			return nil, err
		}
		return committed(tx, accepted, known, shards)
	})
	if err != nil {
		return nil, fmt.Errorf("committing cursors: %w", err)
	}
	return refused, nil
}

// named returns those subscriptions the batch names that exist, and locks them, so
// that none is removed or replayed before its cursor is stored.
func named(tx *gorm.DB, batch []registry.ShardCursors) (map[string]subscriptionRow, error) {
	var ids []string
	for _, b := range batch {
		for _, c := range b.Cursors {
			ids = append(ids, c.Subscription)
		}
		for _, d := range b.DeadLetters {
			ids = append(ids, d.Subscription)
		}
	}
	return lockSubscriptions(tx, ids, "id", "user_key", "client_id", "cell", "replay")
}

// lockSubscriptions reads and locks subscriptions in the order in which all do.
func lockSubscriptions(tx *gorm.DB, ids []string, columns ...string) (map[string]subscriptionRow, error) {
	slices.Sort(ids)
	known := make(map[string]subscriptionRow, len(ids))
	for part := range slicesOf(slices.Compact(ids)) {
		var rows []subscriptionRow
		if err := locked(tx).Select(columns).Where("id IN ?", part).Order("id").Find(&rows).Error; err != nil {
			return nil, fmt.Errorf("locking subscriptions: %w", err)
		}
		for _, r := range rows {
			known[r.ID] = r
		}
	}
	return known, nil
}

// ofShard says whether a subscription that is known is of the claimed shard. The shard
// follows from the user, not from what the caller says: a claim covers its own users only.
func (r subscriptionRow) ofShard(claim registry.Claim, shards uint32) bool {
	return r.ID != "" && r.Cell>>cellBits(shards) == int64(claim.Number)
}

// step is a cursor on its way to the database.
type step struct {
	cursorRow

	rewind bool
}

// merge puts a cursor upon an earlier one of the same folder: one statement may not
// write a row twice.
func merge(old, step step) step {
	if old.UIDValidity != step.UIDValidity {
		return step
	}
	if !step.rewind {
		step.UID = max(step.UID, old.UID)
	}
	step.rewind = step.rewind || old.rewind
	return step
}

// putCursors stores the cursors of claims that are accepted. Those that may go back are a
// statement of their own: the others keep the higher UID, so that one that comes late
// undoes nothing.
func putCursors(tx *gorm.DB, batch []registry.ShardCursors, known map[string]subscriptionRow, shards uint32) error {
	steps := make(map[[2]string]step)
	for _, b := range batch {
		for _, c := range b.Cursors {
			sub := known[c.Subscription]
			if !sub.ofShard(b.Claim, shards) || unsigned(sub.Replay) != c.Replay {
				continue
			}
			next := step{newCursorRow(c.Subscription, c.Cursor), c.Rewind}
			at := [2]string{next.SubscriptionID, next.FolderKey}
			if old, twice := steps[at]; twice {
				next = merge(old, next)
			}
			steps[at] = next
		}
	}
	var forward, anyway []cursorRow
	for _, s := range steps {
		if s.rewind {
			anyway = append(anyway, s.cursorRow)
		} else {
			forward = append(forward, s.cursorRow)
		}
	}
	// MariaDB assigns from left to right: uid has to look at the old uid_validity.
	uid := "CASE WHEN " + stored("cursors", "uid_validity") + " = " + offered(tx, "uid_validity") +
		" AND @old > @new THEN @old ELSE @new END"
	if err := upsertCursors(tx, forward, uid); err != nil {
		return err
	}
	return upsertCursors(tx, anyway, "@new")
}

// upsertCursors stores cursors; uid is what becomes of a stored one. They are sorted
// because a map has handed them out, and rows are locked in the order of the statement.
func upsertCursors(tx *gorm.DB, list []cursorRow, uid string) error {
	slices.SortFunc(list, func(a, b cursorRow) int {
		return cmp.Or(cmp.Compare(a.SubscriptionID, b.SubscriptionID), cmp.Compare(a.FolderKey, b.FolderKey))
	})
	for part := range slices.Chunk(list, chunk) {
		err := tx.Clauses(clause.OnConflict{
			Columns:   []clause.Column{{Name: "subscription_id"}, {Name: "folder_key"}},
			DoUpdates: clause.Set{assign(tx, "cursors", "uid", uid), assign(tx, "cursors", "uid_validity", "@new")},
		}).Create(&part).Error
		if err != nil {
			return fmt.Errorf("storing cursors: %w", err)
		}
	}
	return nil
}
