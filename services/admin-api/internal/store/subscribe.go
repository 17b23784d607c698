// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/services/admin-api/internal/registry"
)

// Subscribe stores subscriptions, no two of one user, each with its registration and user,
// in one transaction, and names what has been sealed for them; what that replaces is noted
// for erasure. Cursors are only added, an existing one is kept: a device that subscribes
// again goes on where it is.
//
// An enrolment that cannot be stored has an error in errs, in the order of the list, and
// leaves nothing behind; the others are none the worse. It is Unavailable when another call
// was faster: what this one has found out, or sealed, does not count any more; Exhausted when
// the user has too many.
//
// The call has opened mailboxes and sealed secrets before, which takes seconds and no
// lock: so what it found is compared with what is there now.
func (s *Store) Subscribe(ctx context.Context, list []registry.Enrolment) (errs []error, err error) {
	var all []*entry
	err = s.record(ctx, func(tx *gorm.DB) ([]registry.HistoryEntry, error) {
		all = entries(list)
		if err := storeAll(tx, all); err != nil {
			return nil, err
		}
		return historyOf(all), nil
	})
	if err != nil {
		return nil, fmt.Errorf("storing %d subscriptions: %w", len(list), err)
	}
	errs = make([]error, len(list))
	for _, e := range all {
		if e.err != nil {
			errs[e.at] = fmt.Errorf("storing a subscription of user %s: %w", e.UserID, e.err)
		}
	}
	return errs, nil
}

// entry is an enrolment on its way into the tables.
type entry struct {
	registry.Enrolment

	at       int     // where it stands in the list
	before   userRow // as it was locked
	user     userRow // as it is to be stored
	row      subscriptionRow
	replaced []registry.Erasure
	happened []registry.HistoryEntry
	err      error // it is not to be stored
}

// entries are a list's in the order of their users' keys, in which users are locked.
func entries(list []registry.Enrolment) []*entry {
	all := make([]*entry, len(list))
	for i, e := range list {
		all[i] = &entry{Enrolment: e, at: i}
	}
	slices.SortFunc(all, func(a, b *entry) int { return cmp.Compare(a.Key(), b.Key()) })
	return all
}

// historyOf is what happened to the users whose entries are stored.
func historyOf(all []*entry) (happened []registry.HistoryEntry) {
	for _, e := range all {
		if e.err != nil {
			continue
		}
		for _, h := range e.happened {
			h.UserID = e.UserID
			happened = append(happened, h)
		}
	}
	return happened
}

// storeAll locks everything that is looked at, judges each entry, and writes those that are
// to be stored, a statement for all of them at a time.
func storeAll(tx *gorm.DB, all []*entry) error {
	if err := lockUsers(tx, all); err != nil {
		return err
	}
	if err := judgeUsers(tx, all); err != nil {
		return err
	}
	if err := judgeSubscriptions(tx, all); err != nil {
		return err
	}
	if err := releaseAll(tx, all); err != nil {
		return err
	}
	stored := slices.DeleteFunc(slices.Clone(all), func(e *entry) bool { return e.err != nil })
	for _, e := range all {
		if e.err == nil {
			continue
		}
		if _, err := removeEmpty(tx, e.before); err != nil { // a user of whom the lock alone has made a row
			return err
		}
	}
	return putAll(tx, stored)
}

// rowsAtOnce bounds the rows of one statement that writes: what SQLite's driver takes for it
// grows with the square of the values, which becomes most of all at some hundreds of rows.
const rowsAtOnce = 32

// putAll writes entries that have been judged.
func putAll(tx *gorm.DB, list []*entry) error {
	var users []userRow
	var registrations []registrationRow
	var rows []subscriptionRow
	var cursors []cursorRow
	var replaced []registry.Erasure
	for _, e := range list {
		users, rows, replaced = append(users, e.user), append(rows, e.row), append(replaced, e.replaced...)
		registrations = append(registrations, registrationRow{UserKey: e.Key(), ClientID: e.Client, CreatedAt: e.CreatedAt.UnixMicro()})
		for _, c := range e.Cursors {
			cursors = append(cursors, newCursorRow(e.row.ID, c))
		}
	}
	if err := put(tx, "the users", whole("user_key"), users); err != nil {
		return err
	}
	if err := put(tx, "the registrations", clause.OnConflict{DoNothing: true}, registrations); err != nil {
		return err
	}
	if err := put(tx, "the subscriptions", whole("id"), rows); err != nil {
		return err
	}
	// A cursor that is there is left, whatever the end of the folder is now.
	if err := put(tx, "the cursors", clause.OnConflict{DoNothing: true}, cursors); err != nil {
		return err
	}
	return putErasures(tx, replaced, time.Now().Add(registry.Lingers).UnixMicro())
}

// whole has a row stored whole, new or not: it is locked, or nobody else knows of it.
func whole(key string) clause.OnConflict {
	return clause.OnConflict{Columns: []clause.Column{{Name: key}}, UpdateAll: true}
}

// put writes rows of one table.
func put[Row any](tx *gorm.DB, what string, conflict clause.OnConflict, rows []Row) error {
	if len(rows) == 0 {
		return nil
	}
	if err := tx.Clauses(conflict).CreateInBatches(rows, rowsAtOnce).Error; err != nil {
		return fmt.Errorf("storing %s: %w", what, err)
	}
	return nil
}

// lockUsers makes the users' rows where there are none, and locks them: each is the lock of
// all its user's rows. A row that is not there cannot be locked, which is why it is made
// first, by a statement that two calls can make at once. They are read only then: the
// statement does not bring back what was there.
func lockUsers(tx *gorm.DB, all []*entry) error {
	made, keys, of := make([]userRow, len(all)), make([]string, len(all)), make(map[string]*entry, len(all))
	for i, e := range all {
		made[i] = userRow{
			UserKey: e.Key(), ContextID: e.Context, UserID: e.User, Cell: int64(e.Cell()),
			CredentialState: string(registry.CredentialNone), Enabled: true,
		}
		keys[i], of[e.Key()] = e.Key(), e
	}
	lock := clause.OnConflict{
		Columns:   []clause.Column{{Name: "user_key"}},
		DoUpdates: clause.AssignmentColumns([]string{"user_key"}), // a column has to be written for the row to be locked
	}
	if err := put(tx, "what locks the users", lock, made); err != nil {
		return err
	}
	for part := range slicesOf(keys) {
		var rows []userRow
		if err := tx.Where("user_key IN ?", part).Find(&rows).Error; err != nil {
			return fmt.Errorf("reading the users: %w", err)
		}
		for _, row := range rows {
			of[row.UserKey].before, of[row.UserKey].user = row, row
		}
	}
	return nil
}

// judgeUsers says what is to be stored of the users, which are locked, and finds the accounts
// of logins that are replaced. Those are not erased at once: a worker may be about to open one.
func judgeUsers(tx *gorm.DB, all []*entry) error {
	installation := ""
	for _, e := range all {
		if e.user.overtakes(e.Enrolment) {
			e.err = overtaken("another call has changed the user's account; try again")
			continue
		}
		if e.MailStore != "" {
			e.user.Store, e.user.DoveadmName = e.MailStore, e.Doveadm
		}
		if e.Credential != nil {
			if old := e.user.credential(); old.Version > 0 && old.Slot != e.Credential.Slot {
				e.replaced = append(e.replaced, registry.Erasure{UserID: e.UserID, Account: registry.MailAccount(old.Slot)})
			}
			e.user = e.user.with(*e.Credential)
		}
		e.happened = accountChanged(e.before, e.user, e.Enrolment)
		if e.Login == "" {
			continue
		}
		if installation == "" {
			var err error
			if installation, err = installationOf(tx); err != nil {
				return err
			}
		}
		e.user = e.user.known(installation, e.Login)
	}
	return nil
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

// judgeSubscriptions locks and reads the users' subscriptions, and says what is to be stored
// of each entry's.
func judgeSubscriptions(tx *gorm.DB, all []*entry) error {
	var keys []string
	for _, e := range all {
		if e.err == nil {
			keys = append(keys, e.Key())
		}
	}
	have := make(map[string][]subscriptionRow, len(keys))
	for part := range slicesOf(keys) {
		var rows []subscriptionRow
		if err := locked(tx).Where("user_key IN ?", part).Order("id").Find(&rows).Error; err != nil {
			return fmt.Errorf("reading the users' subscriptions: %w", err)
		}
		for _, row := range rows {
			have[row.UserKey] = append(have[row.UserKey], row)
		}
	}
	for _, e := range all {
		if e.err == nil {
			e.err = e.renew(have[e.Key()])
		}
	}
	return nil
}

// renew makes the row of the subscription as it is to be stored: a new one as it is,
// a known one with what only the registry knows; and finds the accounts that it gives up.
// The account is named by the subscription's id and slot, so that a call that has made up
// another id, or has sealed below the stored version, has sealed in vain.
func (e *entry) renew(have []subscriptionRow) error {
	e.row = newSubscriptionRow(e.Subscription)
	at := slices.IndexFunc(have, func(r subscriptionRow) bool { return r.ClientID == e.Client && r.DeviceID == e.Device })
	switch {
	case at < 0 && len(have) >= registry.MaxSubscriptions:
		return registry.TooMany(e.UserID)
	case at < 0:
		e.happened = append(e.happened, e.row.happened(registry.Subscribed, "pushes go to "+e.row.origin()))
		return nil
	}
	old := have[at]
	if old.ID != e.row.ID {
		return overtaken("another call is subscribing the same device; try again")
	}
	sealed := old.slot() != e.row.SecretSlot
	if old.SecretVersion > e.row.SecretVersion || sealed && old.SecretVersion == e.row.SecretVersion {
		return secretChanged()
	}
	if err := old.headersOvertaken(e.row); err != nil {
		return err
	}
	e.replaced = append(e.replaced, old.replacedBy(e.row, e.UserID)...)
	e.happened = append(e.happened, resubscribed(old, e.row)...)
	e.row = renew(old, e.row)
	return nil
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
