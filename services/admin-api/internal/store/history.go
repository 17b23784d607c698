// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"mailpush.internal/services/admin-api/internal/registry"
)

// historyRow is one thing that has happened to a user. It names the user by key, not by a
// row: it outlives the user's.
type historyRow struct {
	ID             string `gorm:"primaryKey"`
	UserKey        string
	At             int64
	Kind           string
	Actor          string
	ClientID       string
	SubscriptionID string
	Reason         string
}

func (historyRow) TableName() string { return "user_history" }

// newHistoryRow makes the id of an entry that merges of what it has in common with others,
// so that a commit that is tried again tells nothing twice.
func newHistoryRow(e registry.HistoryEntry) historyRow {
	id := make([]byte, 16)
	if e.Merge == "" {
		_, _ = rand.Read(id) // never fails
	} else {
		sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q %s", e.Key(), e.Kind, e.Merge, e.At.UTC().Format(time.DateOnly)))
		copy(id, sum[:])
	}
	return historyRow{
		ID: hex.EncodeToString(id), UserKey: e.Key(), At: e.At.UnixMicro(), Kind: string(e.Kind), Actor: clip(e.Actor.String()),
		ClientID: e.Client, SubscriptionID: e.Subscription, Reason: clip(e.Reason),
	}
}

func (r historyRow) entry(user registry.UserID) registry.HistoryEntry {
	return registry.HistoryEntry{
		UserID: user, Kind: registry.HistoryKind(r.Kind), Actor: registry.ParseActor(r.Actor),
		Client: r.ClientID, Subscription: r.SubscriptionID, Reason: r.Reason, At: moment(r.At), ID: r.ID,
	}
}

// record is write for what is to be remembered: the entries that fn returns are stored in
// its transaction, and logged once that is committed. So the history tells of nothing that
// did not come about, and of all that did.
func (s *Store) record(ctx context.Context, fn func(tx *gorm.DB) ([]registry.HistoryEntry, error)) error {
	var entries []registry.HistoryEntry
	err := s.write(ctx, func(tx *gorm.DB) (err error) {
		if entries, err = fn(tx); err != nil {
			return err
		}
		entries = stamped(registry.ActorOf(ctx), entries, time.Now())
		return putHistory(tx, entries)
	})
	if err != nil {
		return err
	}
	for _, e := range entries {
		s.log.LogAttrs(ctx, level(e), "happened to a user", slog.String("what", string(e.Kind)), slog.String("user", e.UserID.String()),
			slog.String("subscription", e.Subscription), slog.String("client", e.Client),
			slog.String("by", e.Actor.String()), slog.String("reason", e.Reason))
	}
	return nil
}

// stamped completes entries: by whom they are, and when they happened, one after the
// other.
func stamped(actor registry.Actor, entries []registry.HistoryEntry, now time.Time) []registry.HistoryEntry {
	for i := range entries {
		entries[i].Actor = actor
		if entries[i].At.IsZero() {
			entries[i].At = now.Add(time.Duration(i) * time.Microsecond)
		}
	}
	return entries
}

// level is how loudly an entry is logged: what keeps pushes from somebody who did not ask
// for that is a warning. New subscriptions may come by the thousand.
func level(e registry.HistoryEntry) slog.Level {
	switch e.Kind {
	case registry.LoginSuspended, registry.DeadLettersMade, registry.UserDisabled, registry.SubscriptionDisabled:
		return slog.LevelWarn
	case registry.Subscribed:
		return slog.LevelDebug
	default:
		return slog.LevelInfo
	}
}

// putHistory stores entries and removes what their users have above their share. A new
// subscription is a row and no more: a user has MaxSubscriptions of them, and each end of
// one makes room.
func putHistory(tx *gorm.DB, entries []registry.HistoryEntry) error {
	if len(entries) == 0 {
		return nil
	}
	rows := make(map[string]historyRow, len(entries)) // one statement may not write a row twice
	var keys []string
	for _, e := range entries {
		row := newHistoryRow(e)
		rows[row.ID] = row
		if e.Kind != registry.Subscribed {
			keys = append(keys, row.UserKey)
		}
	}
	list := make([]historyRow, 0, len(rows))
	for _, row := range rows {
		list = append(list, row)
	}
	slices.SortFunc(list, func(a, b historyRow) int { return cmp.Compare(a.ID, b.ID) })
	err := tx.Clauses(clause.OnConflict{
		Columns:   []clause.Column{{Name: "id"}},
		DoUpdates: clause.AssignmentColumns([]string{"at", "actor", "client_id", "subscription_id", "reason"}),
	}).CreateInBatches(list, chunk).Error
	if err != nil {
		return fmt.Errorf("storing the history: %w", err)
	}
	slices.Sort(keys)
	for part := range slicesOf(slices.Compact(keys)) {
		if err := trimHistory(tx, part); err != nil {
			return err
		}
	}
	return nil
}

// trimHistory removes the oldest entries of users who have more than HistoryLength. Which
// they are is read first, and hardly ever is there one: a statement that deletes by a
// condition on the same table has MariaDB look at all of it.
func trimHistory(tx *gorm.DB, userKeys []string) error {
	ranked := tx.Model(&historyRow{}).Where("user_key IN ?", userKeys).
		Select("id, ROW_NUMBER() OVER (PARTITION BY user_key ORDER BY at DESC, id DESC) AS place")
	var ids []string
	err := tx.Table("(?) t", ranked).Where("place > ?", registry.HistoryLength).Pluck("id", &ids).Error
	if err != nil {
		return fmt.Errorf("reading what is too much of the history: %w", err)
	}
	return removeHistory(tx, ids)
}

func removeHistory(tx *gorm.DB, ids []string) error {
	for part := range slicesOf(ids) {
		if err := tx.Where("id IN ?", part).Delete(&historyRow{}).Error; err != nil {
			return fmt.Errorf("removing old history: %w", err)
		}
	}
	return nil
}

// ListHistory returns up to limit entries of a user that are not older than since and stand
// before a place in the listing, the newest first, and the place of the last, which is zero
// when no more follow. A page goes on from a place: new entries come in front.
func (s *Store) ListHistory(
	ctx context.Context, user registry.UserID, since time.Time, before registry.Place, limit int,
) (list []registry.HistoryEntry, last registry.Place, err error) {
	if kept := time.Now().Add(-registry.HistoryKept); since.Before(kept) {
		since = kept
	}
	query := s.db.WithContext(ctx).Where("user_key = ? AND at >= ?", user.Key(), since.UnixMicro()).
		Order("at DESC, id DESC").Limit(limit + 1) // the one above says that more follow
	if before != (registry.Place{}) {
		query = query.Where("(at < ? OR (at = ? AND id < ?))", before.At, before.At, before.ID)
	}
	var rows []historyRow
	if err := query.Find(&rows).Error; err != nil {
		return nil, last, fmt.Errorf("listing the history of user %s: %w", user, err)
	}
	for _, r := range rows[:min(limit, len(rows))] {
		list = append(list, r.entry(user))
	}
	if len(rows) > limit {
		last = list[limit-1].Place()
	}
	return list, last, nil
}

// ForgetHistory removes up to limit entries that are older than HistoryKept, the oldest
// first. It needs no transaction: nobody is shown them any more.
func (s *Store) ForgetHistory(ctx context.Context, now time.Time, limit int) error {
	db := s.db.WithContext(ctx)
	var ids []string
	err := db.Model(&historyRow{}).Where("at < ?", now.Add(-registry.HistoryKept).UnixMicro()).
		Order("at, id").Limit(limit).Pluck("id", &ids).Error
	if err != nil {
		return fmt.Errorf("reading old history: %w", err)
	}
	return removeHistory(db, ids)
}
