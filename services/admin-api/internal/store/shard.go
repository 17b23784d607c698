// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"fmt"
	"math"
	"math/bits"
	"slices"

	"gorm.io/gorm"

	"mailpush.internal/services/admin-api/internal/registry"
)

// cellBits is how many low bits of a cell are below the resolution of shards.
func cellBits(shards uint32) int {
	return bits.TrailingZeros32(registry.Cells) - bits.TrailingZeros32(shards)
}

// span is a run of neighbouring shards as cells: from low up to, not with, high.
type span struct{ low, high int64 }

// spans joins shards, in any order, to runs in ascending order.
func spans(list []uint32, shards uint32) []span {
	var out []span
	for _, shard := range slices.Sorted(slices.Values(list)) {
		low, high := int64(shard)<<cellBits(shards), (int64(shard)+1)<<cellBits(shards)
		if last := len(out) - 1; last >= 0 && out[last].high >= low {
			out[last].high = high
			continue
		}
		out = append(out, span{low, high})
	}
	return out
}

// ListShards returns a page of the mailboxes of some shards after a position, of
// users in the given mail stores, with all their cursors and subscriptions but the
// disabled ones, and whether the listing may go on. The number of statements grows with
// the shards and the page by steps of hundreds, not with the mailboxes.
//
// It takes no transaction: what changes while it reads, the shard's owner is told of
// afterwards, and lists again. Cursors are the owner's own to move: it has fenced all earlier
// owners before it lists.
func (s *Store) ListShards(
	ctx context.Context, stores []string, list []uint32, shards uint32, after registry.Position, size registry.PageSize,
) (page []registry.Mailbox, more bool, err error) {
	db := s.reader.WithContext(ctx)
	ahead := slices.DeleteFunc(spans(list, shards), func(s span) bool { return s.high <= int64(after.Cell) })
	var rows []userRow
	for part := range slices.Chunk(ahead, spansAtOnce) {
		found, err := usersIn(db, stores, part, after, size.Users-len(rows))
		if err != nil {
			return nil, false, err
		}
		if rows = append(rows, found...); len(rows) == size.Users {
			break
		}
	}
	return mailboxes(db, rows, size)
}

// ListNamed returns a page of the mailboxes of some users as [Store.ListShards] does of some
// shards: of the same users it would show the same.
func (s *Store) ListNamed(
	ctx context.Context, stores []string, users []registry.UserID, after registry.Position, size registry.PageSize,
) (page []registry.Mailbox, more bool, err error) {
	db := s.reader.WithContext(ctx)
	ahead := make([]registry.Position, 0, len(users))
	for _, u := range users {
		if at := (registry.Position{Cell: u.Cell(), Key: u.Key()}); at.Compare(after) > 0 {
			ahead = append(ahead, at)
		}
	}
	slices.SortFunc(ahead, registry.Position.Compare)
	var rows []userRow
	for part := range slices.Chunk(slices.Compact(ahead), chunk) {
		keys := make([]string, len(part))
		for i, at := range part {
			keys[i] = at.Key
		}
		var found []userRow
		err := db.Where("user_key IN ? AND store IN ?", keys, stores).Order("cell, user_key").Find(&found).Error
		if err != nil {
			return nil, false, fmt.Errorf("listing users of shards: %w", err)
		}
		rows = append(rows, found...)
	}
	return mailboxes(db, rows, size)
}

// mailboxes is a page of the users in their order, as many as fit, and whether the listing
// may go on. Nearly always all of them fit: that shows when they are read, and only where
// they do not is it counted how many do.
func mailboxes(db *gorm.DB, rows []userRow, size registry.PageSize) (page []registry.Mailbox, more bool, err error) {
	fit := len(rows)
	subscriptions, all, err := subscriptionsOf(db, keysOf(rows), size.Subscriptions, enabledOnly)
	if err == nil && !all {
		if fit, err = fitting(db, rows, size.Subscriptions); err == nil {
			subscriptions, _, err = subscriptionsOf(db, keysOf(rows[:fit]), unbounded, enabledOnly)
		}
	}
	if err != nil {
		return nil, false, err
	}
	users, err := withClients(db, rows[:fit])
	if err != nil {
		return nil, false, err
	}
	page, err = together(db, users, subscriptions)
	return page, fit < len(rows) || fit == size.Users, err
}

func keysOf(rows []userRow) []string {
	keys := make([]string, len(rows))
	for i, r := range rows {
		keys[i] = r.UserKey
	}
	return keys
}

// fitting is how many of the users, one at least, have no more subscriptions than that:
// without the one a listing would end there for ever.
func fitting(db *gorm.DB, rows []userRow, most int) (int, error) {
	at, sum := 0, 0
	for part := range slices.Chunk(rows, chunk) {
		keys := keysOf(part)
		var counts []struct {
			UserKey string
			Have    int
		}
		err := db.Model(&subscriptionRow{}).Select("user_key, COUNT(*) AS have").
			Where("user_key IN ?", keys).Group("user_key").Find(&counts).Error
		if err != nil {
			return 0, fmt.Errorf("counting subscriptions: %w", err)
		}
		have := make(map[string]int, len(counts))
		for _, c := range counts {
			have[c.UserKey] = c.Have
		}
		for i, key := range keys {
			if sum += have[key]; sum > most {
				return max(at+i, 1), nil
			}
		}
		at += len(part)
	}
	return len(rows), nil
}

// spansAtOnce bounds one statement; databases plan hundreds of ranges well.
const spansAtOnce = 200

// usersIn reads users by cell and key: a page may end in the midst of a cell. That they are
// above (cell, key) is written out, in a form that all three databases use the index for.
func usersIn(db *gorm.DB, stores []string, part []span, after registry.Position, limit int) ([]userRow, error) {
	within := db.Where("cell >= ? AND cell < ?", part[0].low, part[0].high)
	for _, one := range part[1:] {
		within = within.Or("cell >= ? AND cell < ?", one.low, one.high)
	}
	var rows []userRow
	err := db.Where(within).
		Where("cell >= ? AND (cell > ? OR user_key > ?)", int64(after.Cell), int64(after.Cell), after.Key).
		Where("store IN ?", stores).Order("cell, user_key").Limit(limit).Find(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("listing shards: %w", err)
	}
	return rows, nil
}

// enabledOnly leaves out subscriptions that are disabled, and what can be said of those
// alone. A user may have no other: the listener stays for when one is enabled.
func enabledOnly(db *gorm.DB) *gorm.DB {
	return db.Where("disabled = ?", false).Omit("disabled", "disabled_reason", "disabled_at", "gone_at")
}

// unbounded is a number of rows that is none.
const unbounded = math.MaxInt

// withSubscriptions completes users with those of their subscriptions that are in scope, and
// their cursors.
func withSubscriptions(db *gorm.DB, users []registry.User, scope ...func(*gorm.DB) *gorm.DB) ([]registry.Mailbox, error) {
	keys := make([]string, len(users))
	for i, u := range users {
		keys[i] = u.Key()
	}
	rows, _, err := subscriptionsOf(db, keys, unbounded, scope...)
	if err != nil {
		return nil, err
	}
	return together(db, users, rows)
}

// subscriptionsOf reads the subscriptions of users, each user's in the order they were made
// in; of more than most it reads a part, and all is false.
func subscriptionsOf(
	db *gorm.DB, keys []string, most int, scope ...func(*gorm.DB) *gorm.DB,
) (rows []subscriptionRow, all bool, err error) {
	for part := range slicesOf(keys) {
		query := db.Scopes(scope...).Where("user_key IN ?", part).Order("created_at, id")
		if most != unbounded {
			query = query.Limit(most - len(rows) + 1)
		}
		var found []subscriptionRow
		if err := query.Find(&found).Error; err != nil {
			return nil, false, fmt.Errorf("reading subscriptions: %w", err)
		}
		if rows = append(rows, found...); len(rows) > most {
			return rows, false, nil
		}
	}
	return rows, true, nil
}

// together is the users with their subscriptions, whose cursors it reads.
func together(db *gorm.DB, users []registry.User, rows []subscriptionRow) ([]registry.Mailbox, error) {
	ids := make([]string, len(rows))
	for i, r := range rows {
		ids[i] = r.ID
	}
	cursors, err := cursorsOf(db, ids)
	if err != nil {
		return nil, err
	}
	boxes := make([]registry.Mailbox, len(users))
	at := make(map[string]int, len(users))
	for i, u := range users {
		boxes[i].User = u
		at[u.Key()] = i
	}
	for _, r := range rows {
		box := &boxes[at[r.UserKey]]
		box.Subscriptions = append(box.Subscriptions, r.subscription(box.UserID, cursors[r.ID]))
	}
	return boxes, nil
}
