// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"fmt"

	"gorm.io/gorm"

	"mailpush.internal/services/admin-api/internal/registry"
)

// change changes one subscription under its lock; NotFound when there is none. The row is
// written back whole: nobody can have written to it since it was read. What fn returns has
// happened to the subscription by that; one without a kind is nothing of note.
func (s *Store) change(
	ctx context.Context, id string, fn func(tx *gorm.DB, row *subscriptionRow) (registry.HistoryEntry, error),
) error {
	return s.record(ctx, func(tx *gorm.DB) ([]registry.HistoryEntry, error) {
		known, err := lockSubscriptions(tx, []string{id}, "*")
		if err != nil {
			return nil, err
		}
		row, ok := known[id]
		if !ok {
			return nil, noSubscription(id)
		}
		happened, err := fn(tx, &row)
		if err != nil {
			return nil, err
		}
		if err := tx.Select("*").Updates(&row).Error; err != nil {
			return nil, fmt.Errorf("storing the subscription: %w", err)
		}
		if happened.Kind == "" {
			return nil, nil
		}
		return owned(tx, []subscriptionRow{row}, []registry.HistoryEntry{happened})
	})
}

// happened is an entry about the subscription.
func (r subscriptionRow) happened(kind registry.HistoryKind, reason string) registry.HistoryEntry {
	return registry.HistoryEntry{Kind: kind, Client: r.ClientID, Subscription: r.ID, Reason: reason}
}

// owned completes entries by whose they are, each that of the row of the same index. It is a
// read for what hardly ever happens, and not a column of each subscription.
func owned(tx *gorm.DB, rows []subscriptionRow, entries []registry.HistoryEntry) ([]registry.HistoryEntry, error) {
	keys := make([]string, len(rows))
	for i, r := range rows {
		keys[i] = r.UserKey
	}
	names := make(map[string]registry.UserID, len(rows))
	for part := range slicesOf(keys) {
		var users []userRow
		if err := tx.Select("user_key", "context_id", "user_id").Where("user_key IN ?", part).Find(&users).Error; err != nil {
			return nil, fmt.Errorf("reading whose the subscriptions are: %w", err)
		}
		for _, u := range users {
			names[u.UserKey] = registry.UserID{Context: u.ContextID, User: u.UserID}
		}
	}
	for i, r := range rows {
		entries[i].UserID = names[r.UserKey]
	}
	return entries, nil
}
