// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"fmt"

	"gorm.io/gorm"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/services/admin-api/internal/registry"
)

// Subscription returns one subscription; NotFound when there is none. It takes no lock:
// what is decided by it is decided again, under one, by what is then done.
func (s *Store) Subscription(ctx context.Context, id string) (registry.Subscription, error) {
	found, err := s.subscriptions(ctx, "s.id = ?", id)
	if err != nil {
		return registry.Subscription{}, err
	}
	if len(found) == 0 {
		return registry.Subscription{}, noSubscription(id)
	}
	return found[0], nil
}

func noSubscription(id string) error {
	return fault.New(fault.NotFound, "no such subscription: %s", id)
}

// Subscriptions returns the user's subscriptions, oldest first.
func (s *Store) Subscriptions(ctx context.Context, user registry.UserID) ([]registry.Subscription, error) {
	return s.subscriptions(ctx, "s.user_key = ?", user.Key())
}

// subscriptions returns those that match, oldest first, and of the same moment by id: two
// calls show them in the same order.
func (s *Store) subscriptions(ctx context.Context, where string, arg any) ([]registry.Subscription, error) {
	db := s.db.WithContext(ctx)
	owned, err := withCursors(db, db.Where(where, arg).Order("s.created_at, s.id"))
	if err != nil {
		return nil, err
	}
	out := make([]registry.Subscription, len(owned))
	for i, o := range owned {
		out[i] = o.Subscription
	}
	return out, nil
}

// ListSubscriptions returns up to limit subscriptions above (afterKey, afterID), in
// natural order of users; an empty context or user is for all. A page goes on from a row's
// key, so that rows that come and go meanwhile neither hide nor repeat others.
func (s *Store) ListSubscriptions(
	ctx context.Context, of registry.UserID, afterKey, afterID string, limit int,
) ([]registry.Owned, error) {
	db := s.db.WithContext(ctx)
	query := db.Where("s.user_key >= ? AND (s.user_key > ? OR s.id > ?)", afterKey, afterKey, afterID).
		Order("s.user_key, s.id").Limit(limit)
	if of.Context != "" {
		query = query.Where("u.context_id = ?", of.Context)
	}
	if of.User != "" {
		query = query.Where("u.user_id = ?", of.User)
	}
	return withCursors(db, query)
}

// withCursors completes the subscriptions s of users u that the query selects. Cursors are
// read in statements of their own: joined, they would repeat the row of a subscription.
func withCursors(db, query *gorm.DB) ([]registry.Owned, error) {
	var rows []struct {
		Row                       subscriptionRow `gorm:"embedded"`
		ContextID, OwnerID, Store string
	}
	err := query.Table("subscriptions s").Select("s.*, u.context_id, u.user_id AS owner_id, u.store").
		Joins("JOIN users u ON u.user_key = s.user_key").Find(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("reading subscriptions: %w", err)
	}
	ids := make([]string, len(rows))
	for i, r := range rows {
		ids[i] = r.Row.ID
	}
	cursors, err := cursorsOf(db, ids)
	if err != nil {
		return nil, err
	}
	out := make([]registry.Owned, len(rows))
	for i, r := range rows {
		user := registry.UserID{Context: r.ContextID, User: r.OwnerID}
		out[i] = registry.Owned{Subscription: r.Row.subscription(user, cursors[r.Row.ID]), Store: r.Store}
	}
	return out, nil
}

func cursorsOf(db *gorm.DB, ids []string) (map[string][]registry.Cursor, error) {
	out := make(map[string][]registry.Cursor, len(ids))
	for part := range slicesOf(ids) {
		var rows []cursorRow
		if err := db.Where("subscription_id IN ?", part).Order("subscription_id, folder").Find(&rows).Error; err != nil {
			return nil, fmt.Errorf("reading cursors: %w", err)
		}
		for _, r := range rows {
			out[r.SubscriptionID] = append(out[r.SubscriptionID], r.cursor())
		}
	}
	return out, nil
}
