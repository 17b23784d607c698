// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/services/admin-api/internal/registry"
)

// Subscribe stores a subscription with its registration and user in one transaction,
// and names what has been sealed for it; what that replaces is noted for erasure.
// Cursors are only added, an existing one is kept. Unavailable when another call was
// faster: what this one has found out, or sealed, does not count any more.
func (s *Store) Subscribe(ctx context.Context, e registry.Enrolment) error {
	err := s.write(ctx, func(tx *gorm.DB) error {
		replaced, err := putUser(tx, e)
		if err != nil {
			return err
		}
		row, old, err := renewed(tx, e.Subscription)
		if err != nil {
			return err
		}
		err = tx.Clauses(clause.OnConflict{DoNothing: true}).
			Create(&registrationRow{UserKey: e.Key(), ClientID: e.Client, CreatedAt: e.CreatedAt.UnixMicro()}).Error
		if err != nil {
			return fmt.Errorf("storing the registration: %w", err)
		}
		if err := putSubscription(tx, row, e.Cursors); err != nil {
			return err
		}
		if err := release(tx, e.Sealed); err != nil {
			return err
		}
		return putErasures(tx, append(replaced, old...), time.Now().Add(registry.Lingers).UnixMicro())
	})
	if err != nil {
		return fmt.Errorf("storing a subscription of user %s: %w", e.UserID, err)
	}
	return nil
}

// putUser stores what an enrolment says of its user, and returns the account of the
// login that it replaces.
func putUser(tx *gorm.DB, e registry.Enrolment) (replaced []registry.Erasure, err error) {
	row, err := lockUser(tx, e.UserID)
	if err != nil {
		return nil, err
	}
	if row.overtakes(e) {
		return nil, fault.New(fault.Unavailable, "another call has changed the user's account; try again")
	}
	if e.MailStore != "" {
		row.Store = e.MailStore
	}
	if e.Credential != nil {
		if old := row.credential(); old.Version > 0 && old.Slot != e.Credential.Slot {
			replaced = append(replaced, registry.Erasure{UserID: e.UserID, Account: registry.MailAccount(old.Slot)})
		}
		row = row.with(*e.Credential)
	}
	if err := tx.Select("*").Updates(&row).Error; err != nil {
		return nil, fmt.Errorf("storing the user: %w", err)
	}
	return replaced, nil
}

// lockUser makes the user's row when there is none, and locks it: it is the lock of all
// the user's rows.
func lockUser(tx *gorm.DB, id registry.UserID) (userRow, error) {
	row := userRow{
		UserKey: id.Key(), ContextID: id.Context, UserID: id.User, Cell: int64(id.Cell()),
		CredentialState: string(registry.CredentialNone), Enabled: true,
	}
	err := tx.Clauses(clause.OnConflict{
		Columns:   []clause.Column{{Name: "user_key"}},
		DoUpdates: clause.AssignmentColumns([]string{"user_key"}), // a column has to be written for the row to be locked
	}).Create(&row).Error
	if err != nil {
		return row, fmt.Errorf("locking the user: %w", err)
	}
	if err := tx.Where("user_key = ?", row.UserKey).Take(&row).Error; err != nil {
		return row, fmt.Errorf("reading the user: %w", err)
	}
	return row, nil
}

// overtakes says whether the row has changed since the enrolment began, so that it must
// not be stored. A new login stands by itself, if it is newer than the stored one;
// anything else rests on what was found.
func (r userRow) overtakes(e registry.Enrolment) bool {
	now, before := r.credential(), e.Before.Credential
	if e.BringsLogin() {
		return now.Version >= e.Credential.Version
	}
	return r.Store != e.Before.Store || now.State != before.State || now.Slot != before.Slot || now.Version != before.Version
}

// renewed is the row of the subscription as it is to be stored: a new one as it is,
// a known one with what only the registry knows; and the accounts that it gives up.
func renewed(tx *gorm.DB, sub registry.Subscription) (row subscriptionRow, replaced []registry.Erasure, err error) {
	row = newSubscriptionRow(sub)
	var old subscriptionRow
	err = locked(tx).Where("user_key = ? AND client_id = ? AND device_id = ?", sub.Key(), sub.Client, sub.Device).
		Take(&old).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return row, nil, roomForOne(tx, sub.UserID)
	}
	if err != nil {
		return row, nil, fmt.Errorf("reading the subscription of the device: %w", err)
	}
	if old.ID != row.ID {
		return row, nil, fault.New(fault.Unavailable, "another call is subscribing the same device; try again")
	}
	sealed := old.slot() != row.SecretSlot
	if old.SecretVersion > row.SecretVersion || sealed && old.SecretVersion == row.SecretVersion {
		return row, nil, secretChanged()
	}
	for _, e := range old.erasures(sub.UserID) {
		if e.Account != registry.WebhookAccount(sub.ID, sub.Signing.Slot) {
			replaced = append(replaced, e)
		}
	}
	return renew(old, row), replaced, nil
}

// roomForOne refuses one subscription too many. The caller has locked the user.
func roomForOne(tx *gorm.DB, user registry.UserID) error {
	var have int64
	if err := tx.Model(&subscriptionRow{}).Where("user_key = ?", user.Key()).Count(&have).Error; err != nil {
		return fmt.Errorf("counting the user's subscriptions: %w", err)
	}
	if have >= registry.MaxSubscriptions {
		return registry.TooMany(user)
	}
	return nil
}

// secretChanged refuses a secret that is not the newest.
func secretChanged() error {
	return fault.New(fault.Unavailable, "another call has changed the signing secret; try again")
}

// renew turns a stored row into what a new Subscribe asks for. When something about
// the endpoint has changed, what was learned of it does not count any more, and a
// rotation or the disabling has come to its end.
func renew(old, asked subscriptionRow) subscriptionRow {
	row := old
	row.Topics, row.Content = asked.Topics, asked.Content
	row.Origin = asked.Origin // an earlier release writes it by another rule
	sameTarget := old.target() == asked.target()
	if sameTarget && old.SecretVersion == asked.SecretVersion && old.Signature == asked.Signature && old.Mode == asked.Mode {
		return row
	}
	row.Transport, row.Address, row.Confirmed = asked.Transport, asked.Address, old.Confirmed && sameTarget
	row.Signature, row.SecretVersion = asked.Signature, asked.SecretVersion
	row.SecretSlot, row.SecretSlotVersion = asked.SecretSlot, asked.SecretSlotVersion
	row.PreviousSecretUntil, row.PreviousSecretSlot = 0, otherSlot
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
