// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"errors"
	"fmt"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/services/admin-api/internal/registry"
)

// Subscription returns one subscription; NotFound when there is none.
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

func (s *Store) subscriptions(ctx context.Context, where string, arg any) ([]registry.Subscription, error) {
	var rows []struct {
		Row                subscriptionRow `gorm:"embedded"`
		ContextID, OwnerID string
	}
	db := s.db.WithContext(ctx)
	err := db.Table("subscriptions s").Select("s.*, u.context_id, u.user_id AS owner_id").
		Joins("JOIN users u ON u.user_key = s.user_key").
		Where(where, arg).Order("s.created_at, s.id").Find(&rows).Error
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
	out := make([]registry.Subscription, len(rows))
	for i, r := range rows {
		out[i] = r.Row.subscription(registry.UserID{Context: r.ContextID, User: r.OwnerID}, cursors[r.Row.ID])
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

// Subscribe stores a subscription with its registration and user in one
// transaction. An empty mail store and a nil credential keep what is stored;
// cursors are only added, an existing one is kept. Unavailable when another call
// has given the same (user, client, device) another id in the meantime.
func (s *Store) Subscribe(ctx context.Context, sub registry.Subscription, store string, cred *registry.Credential) error {
	err := s.write(ctx, func(tx *gorm.DB) error {
		if err := putUser(tx, sub.UserID, store, cred); err != nil {
			return err
		}
		if err := sameID(tx, sub); err != nil {
			return err
		}
		err := tx.Clauses(clause.OnConflict{DoNothing: true}).
			Create(&registrationRow{UserKey: sub.Key(), ClientID: sub.Client, CreatedAt: sub.CreatedAt.UnixMicro()}).Error
		if err != nil {
			return fmt.Errorf("storing the registration: %w", err)
		}
		return putSubscription(tx, sub)
	})
	if err != nil {
		return fmt.Errorf("storing a subscription of user %s: %w", sub.UserID, err)
	}
	return nil
}

// putUser writes the user's row first: it is the lock of all the user's rows.
func putUser(tx *gorm.DB, id registry.UserID, store string, cred *registry.Credential) error {
	row := userRow{
		UserKey: id.Key(), ContextID: id.Context, UserID: id.User, Cell: int64(id.Cell()),
		Store: store, CredentialState: string(registry.CredentialNone), Enabled: true,
	}
	columns := []string{"user_key"} // a column has to be written for the row to be locked
	if store != "" {
		columns = append(columns, "store")
	}
	if cred != nil {
		row.CredentialState, row.CredentialKind = string(cred.State), string(cred.Kind)
		row.CredentialReason, row.CredentialVersion = cred.Reason, signed(cred.Version)
		columns = append(columns, "credential_state", "credential_kind", "credential_reason", "credential_version")
	}
	err := tx.Clauses(clause.OnConflict{
		Columns:   []clause.Column{{Name: "user_key"}},
		DoUpdates: clause.AssignmentColumns(columns),
	}).Create(&row).Error
	if err != nil {
		return fmt.Errorf("storing the user: %w", err)
	}
	return nil
}

func sameID(tx *gorm.DB, sub registry.Subscription) error {
	var row subscriptionRow
	err := tx.Select("id").Where("user_key = ? AND client_id = ? AND device_id = ?", sub.Key(), sub.Client, sub.Device).
		Take(&row).Error
	if err != nil && !errors.Is(err, gorm.ErrRecordNotFound) {
		return fmt.Errorf("reading the subscription of the device: %w", err)
	}
	if err == nil && row.ID != sub.ID {
		return fault.New(fault.Unavailable, "another call is subscribing the same device; try again")
	}
	return nil
}

func putSubscription(tx *gorm.DB, sub registry.Subscription) error {
	row := newSubscriptionRow(sub)
	err := tx.Clauses(clause.OnConflict{
		Columns:   []clause.Column{{Name: "id"}},
		DoUpdates: clause.AssignmentColumns([]string{"topics", "content", "webhook_url", "secret_version"}),
	}).Create(&row).Error
	if err != nil {
		return fmt.Errorf("storing the subscription: %w", err)
	}
	for _, c := range sub.Cursors {
		row := newCursorRow(sub.ID, c)
		if err := tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&row).Error; err != nil {
			return fmt.Errorf("storing the cursor of folder %q: %w", c.Folder, err)
		}
	}
	return nil
}
