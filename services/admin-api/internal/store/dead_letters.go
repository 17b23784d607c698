// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"mailpush.internal/services/admin-api/internal/registry"
)

// deadLettersKept is how many dead letters a subscription has at most: the newest. An
// endpoint that refuses every mail must not fill the table, and people look at the last.
const deadLettersKept = 100

// deadLetterRow is a range of mails that was stepped over. Its id is made from what
// it is about, so that a commit that is tried again tells nothing twice.
type deadLetterRow struct {
	ID             string `gorm:"primaryKey"`
	SubscriptionID string
	At             int64
	Folder         string
	UIDValidity    int64 `gorm:"column:uid_validity"`
	FirstUID       int64 `gorm:"column:first_uid"`
	LastUID        int64 `gorm:"column:last_uid"`
	Reason         string
}

func (deadLetterRow) TableName() string { return "dead_letters" }

// newDeadLetterRow quotes the names it makes the id of, so that no two ranges can be
// written alike.
func newDeadLetterRow(d registry.DeadLetter) deadLetterRow {
	about := fmt.Appendf(nil, "%q %q %d %d %d", d.Subscription, d.Folder, d.UIDValidity, d.First, d.Last)
	sum := sha256.Sum256(about)
	return deadLetterRow{
		ID: hex.EncodeToString(sum[:16]), SubscriptionID: d.Subscription, At: micros(d.At), Folder: d.Folder,
		UIDValidity: int64(d.UIDValidity), FirstUID: int64(d.First), LastUID: int64(d.Last), Reason: clip(d.Reason),
	}
}

// putDeadLetters stores what was stepped over, in the transaction that stores the cursors
// beyond it: a mail is behind a cursor only if it was accepted or is told here. A range
// that was told before, as after a replay, has the time and the reason of the last time.
func putDeadLetters(tx *gorm.DB, batch []registry.ShardCursors, known map[string]subscriptionRow, shards uint32) error {
	rows := make(map[string]deadLetterRow)
	more := make(map[string]bool) // subscriptions with a new one
	for _, b := range batch {
		for _, d := range b.DeadLetters {
			if known[d.Subscription].ofShard(b.Claim, shards) {
				row := newDeadLetterRow(d)
				rows[row.ID], more[d.Subscription] = row, true
			}
		}
	}
	list := slices.SortedFunc(maps.Values(rows), func(a, b deadLetterRow) int { return cmp.Compare(a.ID, b.ID) })
	for part := range slices.Chunk(list, chunk) {
		err := tx.Clauses(clause.OnConflict{
			Columns:   []clause.Column{{Name: "id"}},
			DoUpdates: clause.AssignmentColumns([]string{"at", "reason"}),
		}).Create(&part).Error
		if err != nil {
			return fmt.Errorf("storing dead letters: %w", err)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(more)) {
		if err := dropOldest(tx, id); err != nil {
			return err
		}
	}
	return nil
}

// dropOldest removes what a subscription has above its share. The subscription is locked
// by the commit: nobody adds another one meanwhile.
func dropOldest(tx *gorm.DB, subscription string) error {
	var last deadLetterRow
	err := tx.Where("subscription_id = ?", subscription).Order("at DESC, id DESC").
		Offset(deadLettersKept - 1).Limit(1).Take(&last).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading dead letters: %w", err)
	}
	err = tx.Where("subscription_id = ? AND (at < ? OR (at = ? AND id < ?))", subscription, last.At, last.At, last.ID).
		Delete(&deadLetterRow{}).Error
	if err != nil {
		return fmt.Errorf("removing old dead letters: %w", err)
	}
	return nil
}

// ListDeadLetters returns up to limit dead letters before a place in the listing, the
// newest first, and the place of the last, which is zero when no more follow; subscription
// may be empty for all. A page goes on from a place, not from a number of rows: new ones
// come in front.
func (s *Store) ListDeadLetters(
	ctx context.Context, subscription string, before registry.Place, limit int,
) (list []registry.DeadLetter, last registry.Place, err error) {
	query := s.db.WithContext(ctx).Table("dead_letters d").Select("d.*, u.context_id, u.user_id").
		Joins("JOIN subscriptions s ON s.id = d.subscription_id").
		Joins("JOIN users u ON u.user_key = s.user_key").
		Order("d.at DESC, d.id DESC").Limit(limit + 1) // the one above says that more follow
	if subscription != "" {
		query = query.Where("d.subscription_id = ?", subscription)
	}
	if before != (registry.Place{}) {
		query = query.Where("(d.at < ? OR (d.at = ? AND d.id < ?))", before.At, before.At, before.ID)
	}
	var rows []struct {
		Row               deadLetterRow `gorm:"embedded"`
		ContextID, UserID string
	}
	if err := query.Find(&rows).Error; err != nil {
		return nil, last, fmt.Errorf("listing dead letters: %w", err)
	}
	if len(rows) > limit {
		rows = rows[:limit]
		last = registry.Place{At: rows[limit-1].Row.At, ID: rows[limit-1].Row.ID}
	}
	for _, r := range rows {
		list = append(list, registry.DeadLetter{
			Subscription: r.Row.SubscriptionID, UserID: registry.UserID{Context: r.ContextID, User: r.UserID},
			Folder: r.Row.Folder, UIDValidity: uint32(r.Row.UIDValidity),
			First: uint32(r.Row.FirstUID), Last: uint32(r.Row.LastUID), Reason: r.Row.Reason, At: moment(r.Row.At),
		})
	}
	return list, last, nil
}
