// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/services/admin-api/internal/registry"
)

// Subscribe stores a subscription with its registration and user in one transaction,
// and names what has been sealed for it; what that replaces is noted for erasure.
// Cursors are only added, an existing one is kept: a device that subscribes again goes on
// where it is. Unavailable when another call was faster: what this one has found out, or
// sealed, does not count any more. Exhausted when the user has too many.
//
// The call has opened the mailbox and sealed secrets before, which takes seconds and no
// lock: so what it found is compared with what is there now.
func (s *Store) Subscribe(ctx context.Context, e registry.Enrolment) error {
	err := s.record(ctx, func(tx *gorm.DB) ([]registry.HistoryEntry, error) {
		login, err := putUser(tx, e)
		if err != nil {
			return nil, err
		}
		row, old, err := renewed(tx, e.Subscription)
		if err != nil {
			return nil, err
		}
		err = tx.Clauses(clause.OnConflict{DoNothing: true}).
			Create(&registrationRow{UserKey: e.Key(), ClientID: e.Client, CreatedAt: e.CreatedAt.UnixMicro()}).Error
		if err != nil {
			return nil, fmt.Errorf("storing the registration: %w", err)
		}
		if err := putSubscription(tx, row, e.Cursors); err != nil {
			return nil, err
		}
		if err := release(tx, e.Sealed); err != nil {
			return nil, err
		}
		replaced, happened := slices.Concat(login.replaced, old.replaced), slices.Concat(login.happened, old.happened)
		for i := range happened {
			happened[i].UserID = e.UserID
		}
		return happened, putErasures(tx, replaced, time.Now().Add(registry.Lingers).UnixMicro())
	})
	if err != nil {
		return fmt.Errorf("storing a subscription of user %s: %w", e.UserID, err)
	}
	return nil
}

// outcome is what storing an enrolment has led to: which accounts nothing names any more,
// and what has happened to the user.
type outcome struct {
	replaced []registry.Erasure
	happened []registry.HistoryEntry
}

// putUser stores what an enrolment says of its user. The account of the login that it
// replaces is not erased at once: a worker may be about to open it.
func putUser(tx *gorm.DB, e registry.Enrolment) (out outcome, err error) {
	row, err := lockUser(tx, e.UserID)
	if err != nil {
		return out, err
	}
	if row.overtakes(e) {
		return out, overtaken("another call has changed the user's account; try again")
	}
	old := row
	if e.MailStore != "" {
		row.Store, row.DoveadmName = e.MailStore, e.Doveadm
	}
	if e.Credential != nil {
		if old := row.credential(); old.Version > 0 && old.Slot != e.Credential.Slot {
			out.replaced = append(out.replaced, registry.Erasure{UserID: e.UserID, Account: registry.MailAccount(old.Slot)})
		}
		row = row.with(*e.Credential)
	}
	if e.Login != "" {
		if row, err = row.known(tx, e.Login); err != nil {
			return out, err
		}
	}
	if err := tx.Select("*").Updates(&row).Error; err != nil {
		return out, fmt.Errorf("storing the user: %w", err)
	}
	out.happened = accountChanged(old, row, e)
	return out, nil
}

// lockUser makes the user's row when there is none, and locks it: it is the lock of all
// the user's rows. A row that is not there cannot be locked, which is why it is made first,
// by a statement that two calls can make at once. It is read only then: the statement does
// not bring back what was there.
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
// not be stored. A new login that was accepted stands by itself, if it is newer than the
// stored one; anything else rests on what was found. So does a refused one: it is stored
// only where there is none, and another call may have brought a good one meanwhile.
func (r userRow) overtakes(e registry.Enrolment) bool {
	now, before := r.credential(), e.Before.Credential
	if e.BringsLogin() && e.Credential.State != registry.CredentialSuspended {
		return now.Version >= e.Credential.Version
	}
	return r.Store != e.Before.Store || now.State != before.State || now.Slot != before.Slot || now.Version != before.Version
}

// renewed is the row of the subscription as it is to be stored: a new one as it is,
// a known one with what only the registry knows; and what that leads to. The
// account is named by the subscription's id and slot, so that a call that has made up
// another id, or has sealed below the stored version, has sealed in vain.
func renewed(tx *gorm.DB, sub registry.Subscription) (row subscriptionRow, out outcome, err error) {
	row = newSubscriptionRow(sub)
	var old subscriptionRow
	err = locked(tx).Where("user_key = ? AND client_id = ? AND device_id = ?", sub.Key(), sub.Client, sub.Device).
		Take(&old).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		out.happened = []registry.HistoryEntry{row.happened(registry.Subscribed, "pushes go to "+row.origin())}
		return row, out, roomForOne(tx, sub.UserID)
	}
	if err != nil {
		return row, out, fmt.Errorf("reading the subscription of the device: %w", err)
	}
	if old.ID != row.ID {
		return row, out, overtaken("another call is subscribing the same device; try again")
	}
	sealed := old.slot() != row.SecretSlot
	if old.SecretVersion > row.SecretVersion || sealed && old.SecretVersion == row.SecretVersion {
		return row, out, secretChanged()
	}
	if err := old.headersOvertaken(row); err != nil {
		return row, out, err
	}
	return renew(old, row), outcome{old.replacedBy(row, sub.UserID), resubscribed(old, row)}, nil
}

// replacedBy are the accounts that a row gives up for another: all slots that a secret may
// be in, but the one that is named now. When the secret stays, the one before it stays for
// as long as it signs.
func (r subscriptionRow) replacedBy(asked subscriptionRow, user registry.UserID) (replaced []registry.Erasure) {
	if !r.sameSecret(asked) || r.PreviousSecretUntil == 0 {
		for _, e := range r.erasures(user) {
			if e.Account != registry.WebhookAccount(asked.ID, uint32(asked.SecretSlot)) {
				replaced = append(replaced, e)
			}
		}
	}
	if r.HeaderSlot != asked.HeaderSlot {
		replaced = append(replaced, r.headerErasures(user)...)
	}
	return replaced
}

// sameSecret says whether both name one secret.
func (r subscriptionRow) sameSecret(asked subscriptionRow) bool {
	return r.SecretVersion == asked.SecretVersion && r.slot() == asked.SecretSlot
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
	return overtaken("another call has changed the signing secret; try again")
}

func overtaken(text string) error {
	return fault.Wrap(fault.Unavailable, registry.ErrOvertaken, "%s", text)
}

// renew turns a stored row into what a new Subscribe asks for. Whoever subscribes anew
// expects pushes from now on: what was learned of the endpoint does not count any more, a
// disabling has come to its end, and workers try at once. A secret that stays does so as
// it is, in the middle of a rotation as well.
func renew(old, asked subscriptionRow) subscriptionRow {
	row := old
	row.Topics, row.Content, row.Mode = asked.Topics, asked.Content, asked.Mode
	row.Origin = asked.Origin // an earlier release writes it by another rule
	row.Transport, row.Address = asked.Transport, asked.Address
	row.Confirmed = old.Confirmed && old.target() == asked.target()
	if !old.sameSecret(asked) {
		row.Signature, row.SecretVersion = asked.Signature, asked.SecretVersion
		row.SecretSlot, row.SecretSlotVersion = asked.SecretSlot, asked.SecretSlotVersion
		row.PreviousSecretUntil, row.PreviousSecretSlot = 0, otherSlot
	}
	row.HeaderNames, row.HeaderVersion, row.HeaderSlot = asked.HeaderNames, asked.HeaderVersion, asked.HeaderSlot
	row.Revision++
	return enabled(row)
}

// enabled is the row without what keeps it from being pushed to.
func enabled(row subscriptionRow) subscriptionRow {
	row.Disabled, row.DisabledReason, row.DisabledAt = false, "", 0
	row.FailingSince, row.LastError = 0, ""
	row.AbsentSince, row.AbsentSeen, row.GoneAt = 0, 0, 0
	return row
}

// putSubscription stores the row whole, new or not: it is locked, or nobody else knows of
// it. A cursor that is there is left, whatever the end of the folder is now.
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
