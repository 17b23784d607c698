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

// Subscribe stores a subscription with its registration and user in one
// transaction. An empty mail store and a nil credential keep what is stored;
// cursors are only added, an existing one is kept. Unavailable when another call
// has given the same (user, client, device) another id in the meantime.
func (s *Store) Subscribe(ctx context.Context, sub registry.Subscription, store string, cred *registry.Credential) error {
	err := s.write(ctx, func(tx *gorm.DB) error {
		if err := putUser(tx, sub.UserID, store, cred); err != nil {
			return err
		}
		row, err := renewed(tx, sub)
		if err != nil {
			return err
		}
		err = tx.Clauses(clause.OnConflict{DoNothing: true}).
			Create(&registrationRow{UserKey: sub.Key(), ClientID: sub.Client, CreatedAt: sub.CreatedAt.UnixMicro()}).Error
		if err != nil {
			return fmt.Errorf("storing the registration: %w", err)
		}
		return putSubscription(tx, row, sub.Cursors)
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

// renewed is the row of the subscription as it is to be stored: a new one as it is,
// a known one with what only the registry knows.
func renewed(tx *gorm.DB, sub registry.Subscription) (subscriptionRow, error) {
	row := newSubscriptionRow(sub)
	var old subscriptionRow
	err := locked(tx).Where("user_key = ? AND client_id = ? AND device_id = ?", sub.Key(), sub.Client, sub.Device).
		Take(&old).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return row, nil
	}
	if err != nil {
		return row, fmt.Errorf("reading the subscription of the device: %w", err)
	}
	if old.ID != row.ID {
		return row, fault.New(fault.Unavailable, "another call is subscribing the same device; try again")
	}
	// Whoever sealed last has its secret in the vault and must win here, too.
	if old.SecretSlot != row.SecretSlot || old.SecretVersion > row.SecretVersion {
		return row, fault.New(fault.Unavailable, "another call has changed the signing secret; try again")
	}
	return renew(old, row), nil
}

// renew turns a stored row into what a new Subscribe asks for. When something about
// the endpoint has changed, what was learned of it does not count any more, and a
// rotation or the disabling has come to its end.
func renew(old, asked subscriptionRow) subscriptionRow {
	row := old
	row.Topics, row.Content = asked.Topics, asked.Content
	sameURL := old.WebhookURL == asked.WebhookURL
	if sameURL && old.SecretVersion == asked.SecretVersion && old.Signature == asked.Signature && old.Mode == asked.Mode {
		return row
	}
	row.WebhookURL, row.Origin, row.Confirmed = asked.WebhookURL, asked.Origin, old.Confirmed && sameURL
	row.SecretVersion, row.Signature, row.PreviousSecretUntil = asked.SecretVersion, asked.Signature, 0
	row.Mode = asked.Mode
	row.Revision++
	return enabled(row)
}

// enabled is the row without what keeps it from being pushed to.
func enabled(row subscriptionRow) subscriptionRow {
	row.Disabled, row.DisabledReason, row.DisabledAt = false, "", 0
	row.FailingSince, row.LastError = 0, ""
	return row
}

func putSubscription(tx *gorm.DB, row subscriptionRow, cursors []registry.Cursor) error {
	err := tx.Clauses(clause.OnConflict{Columns: []clause.Column{{Name: "id"}}, UpdateAll: true}).Create(&row).Error
	if err != nil {
		return fmt.Errorf("storing the subscription: %w", err)
	}
	for _, c := range cursors {
		cursor := newCursorRow(row.ID, c)
		if err := tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&cursor).Error; err != nil {
			return fmt.Errorf("storing the cursor of folder %q: %w", c.Folder, err)
		}
	}
	return nil
}
