// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/services/admin-api/internal/registry"
)

// chunk bounds the values of one statement; every database takes more. Long lists are
// cut, not refused: how many there are is not the caller's to know.
const chunk = 500

// User returns one user; NotFound when nothing is registered for it.
func (s *Store) User(ctx context.Context, id registry.UserID) (registry.User, error) {
	var row userRow
	err := s.db.WithContext(ctx).Where("user_key = ?", id.Key()).Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return registry.User{}, fault.New(fault.NotFound, "nothing is registered for user %s", id)
	}
	if err != nil {
		return registry.User{}, fmt.Errorf("reading user %s: %w", id, err)
	}
	users, err := withClients(s.db.WithContext(ctx), []userRow{row})
	if err != nil {
		return registry.User{}, err
	}
	return users[0], nil
}

// Registered returns those of the users that there are, with all their subscriptions.
func (s *Store) Registered(ctx context.Context, users []registry.UserID) (map[registry.UserID]registry.Mailbox, error) {
	db, keys := s.db.WithContext(ctx), make([]string, len(users))
	for i, u := range users {
		keys[i] = u.Key()
	}
	out := make(map[registry.UserID]registry.Mailbox, len(users))
	for part := range slicesOf(keys) {
		var rows []userRow
		if err := db.Where("user_key IN ?", part).Find(&rows).Error; err != nil {
			return nil, fmt.Errorf("reading users: %w", err)
		}
		found, err := withClients(db, rows)
		if err != nil {
			return nil, err
		}
		boxes, err := withSubscriptions(db, found)
		if err != nil {
			return nil, err
		}
		for _, box := range boxes {
			out[box.UserID] = box
		}
	}
	return out, nil
}

// ListUsers returns up to limit users whose key is above after, in natural order;
// contextID may be empty for all. It takes one statement for them and one for each chunk
// of their clients.
func (s *Store) ListUsers(ctx context.Context, contextID, after string, limit int) ([]registry.User, error) {
	db := s.db.WithContext(ctx)
	query := db.Where("user_key > ?", after).Order("user_key").Limit(limit)
	if contextID != "" {
		query = query.Where("context_id = ?", contextID)
	}
	var rows []userRow
	if err := query.Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("listing users: %w", err)
	}
	return withClients(db, rows)
}

// withClients completes user rows with their registered clients.
func withClients(db *gorm.DB, rows []userRow) ([]registry.User, error) {
	keys := make([]string, len(rows))
	for i, r := range rows {
		keys[i] = r.UserKey
	}
	clients := make(map[string][]string, len(rows))
	for part := range slicesOf(keys) {
		var found []registrationRow
		if err := db.Where("user_key IN ?", part).Order("user_key, client_id").Find(&found).Error; err != nil {
			return nil, fmt.Errorf("reading registrations: %w", err)
		}
		for _, r := range found {
			clients[r.UserKey] = append(clients[r.UserKey], r.ClientID)
		}
	}
	users := make([]registry.User, len(rows))
	for i, r := range rows {
		users[i] = r.user(clients[r.UserKey])
	}
	return users, nil
}

// ListRegistrations returns up to limit registrations above (afterKey,
// afterClient), in natural order of users; contextID may be empty for all.
func (s *Store) ListRegistrations(
	ctx context.Context, contextID, afterKey, afterClient string, limit int,
) ([]registry.Registration, error) {
	query := s.db.WithContext(ctx).Table("registrations r").
		Select("u.context_id, u.user_id, r.client_id, r.created_at").
		Joins("JOIN users u ON u.user_key = r.user_key").
		Where("r.user_key >= ? AND (r.user_key > ? OR r.client_id > ?)", afterKey, afterKey, afterClient).
		Order("r.user_key, r.client_id").Limit(limit)
	if contextID != "" {
		query = query.Where("u.context_id = ?", contextID)
	}
	var rows []struct {
		ContextID, UserID, ClientID string
		CreatedAt                   int64
	}
	if err := query.Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("listing registrations: %w", err)
	}
	out := make([]registry.Registration, len(rows))
	for i, r := range rows {
		out[i] = registry.Registration{
			UserID: registry.UserID{Context: r.ContextID, User: r.UserID},
			Client: r.ClientID, CreatedAt: time.UnixMicro(r.CreatedAt).UTC(),
		}
	}
	return out, nil
}

// SuspendCredential marks a user's credential as refused. Without effect, and
// false, when the user is gone, or the credential has been replaced since the
// refused version, or is suspended already.
//
// One statement judges and writes at once: a new login that is being stored
// comes before it, and has a higher version, or after it, and takes its place. Without the
// version a refusal that comes late would suspend a login that works.
func (s *Store) SuspendCredential(ctx context.Context, id registry.UserID, version uint64, reason string) (bool, error) {
	var changed bool
	err := s.record(ctx, func(tx *gorm.DB) ([]registry.HistoryEntry, error) {
		done := tx.Model(&userRow{}).
			Where("user_key = ? AND (credential_state = ? OR "+inSlot+") AND credential_version <= ?",
				id.Key(), string(registry.CredentialStored), signed(version)).
			Updates(map[string]any{
				"credential_state":   string(registry.CredentialSuspended),
				"credential_reason":  reason,
				"credential_version": signed(version),
			})
		if changed = done.RowsAffected > 0; !changed {
			return nil, done.Error
		}
		return []registry.HistoryEntry{{UserID: id, Kind: registry.LoginSuspended, Reason: reason}}, nil
	})
	if err != nil {
		return false, fmt.Errorf("suspending the credential of user %s: %w", id, err)
	}
	return changed, nil
}
