// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"errors"
	"fmt"

	"gorm.io/gorm"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/services/admin-api/internal/registry"
)

// Unsubscribe removes one subscription, with the client's last one its
// registration, and with the last registration the user. NotFound when there is
// no such subscription. It is read without a lock, to know whose it is: the user is locked
// before the user's subscriptions.
func (s *Store) Unsubscribe(ctx context.Context, id string) (registry.Removed, error) {
	return s.unsubscribe(ctx, id, endedByCall, "1 = 1")
}

// Why subscriptions have ended, as the history tells.
const (
	endedByCall   = "unsubscribed"
	endedByClient = "the client was unregistered"
	endedGone     = "its endpoint was gone, and nobody has restored it"
)

// unsubscribe removes a subscription that matches; another one is not there for the caller.
func (s *Store) unsubscribe(ctx context.Context, id, why, where string, args ...any) (registry.Removed, error) {
	var removed registry.Removed
	err := s.record(ctx, func(tx *gorm.DB) ([]registry.HistoryEntry, error) {
		var sub subscriptionRow
		err := tx.Where("id = ?", id).Take(&sub).Error
		if errors.Is(err, gorm.ErrRecordNotFound) {
			return nil, noSubscription(id)
		}
		if err != nil {
			return nil, fmt.Errorf("reading the subscription: %w", err)
		}
		removed, err = remove(tx, sub.UserKey, "id = ? AND "+where, append([]any{id}, args...)...)
		if err == nil && len(removed.Erasures) == 0 {
			return nil, noSubscription(id) // another call has removed it while this one waited
		}
		return ended(removed, sub.ClientID, why), err
	})
	if err != nil {
		return registry.Removed{}, fmt.Errorf("removing subscription %s: %w", id, err)
	}
	return removed, nil
}

// Unregister removes a client's registration with all its subscriptions, and with
// the last registration the user. NotFound when there is no such registration.
func (s *Store) Unregister(ctx context.Context, user registry.UserID, client string) (registry.Removed, error) {
	missing := fault.New(fault.NotFound, "no such push registration for user %s in context %s for client %q",
		user.User, user.Context, client)
	var removed registry.Removed
	err := s.record(ctx, func(tx *gorm.DB) ([]registry.HistoryEntry, error) {
		err := tx.Where("user_key = ? AND client_id = ?", user.Key(), client).Take(&registrationRow{}).Error
		if errors.Is(err, gorm.ErrRecordNotFound) {
			return nil, missing
		}
		if err != nil {
			return nil, fmt.Errorf("reading the registration: %w", err)
		}
		removed, err = remove(tx, user.Key(), "client_id = ?", client)
		return ended(removed, client, endedByClient), err
	})
	if err != nil {
		return registry.Removed{}, fmt.Errorf("removing the registration of client %q of user %s: %w", client, user, err)
	}
	return removed, nil
}

// ended is what has happened to the user by a removal of one client's subscriptions. All of
// them are one entry: a client may have a hundred.
func ended(removed registry.Removed, client, why string) []registry.HistoryEntry {
	entry := registry.HistoryEntry{UserID: removed.User.UserID, Kind: registry.SubscriptionEnded, Client: client, Reason: why}
	if n := len(removed.Subscriptions); n == 1 {
		entry.Subscription = removed.Subscriptions[0].ID
	} else {
		entry.Reason = fmt.Sprintf("%s, with %d subscriptions", why, n)
	}
	entries := []registry.HistoryEntry{entry}
	if removed.Last {
		entries = append(entries, registry.HistoryEntry{UserID: removed.User.UserID, Kind: registry.UserRemoved, Reason: "nothing is registered any more"})
	}
	return entries
}

// remove takes away the user's subscriptions that match, then whatever has lost
// its reason to be: registrations without subscriptions, a user without
// registrations. The credentials set free are noted in the same transaction.
//
// The user's row is locked first, as it is by Subscribe: a subscription that is being added
// is seen here and keeps the user, or comes after and makes the user anew.
func remove(tx *gorm.DB, userKey, where string, args ...any) (registry.Removed, error) {
	var user userRow
	err := locked(tx).Where("user_key = ?", userKey).Take(&user).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return registry.Removed{}, fault.New(fault.NotFound, "nothing is registered for the user any more")
	}
	if err != nil {
		return registry.Removed{}, fmt.Errorf("reading the user: %w", err)
	}
	before, err := withClients(tx, []userRow{user})
	if err != nil {
		return registry.Removed{}, err
	}
	removed := registry.Removed{User: before[0]}
	rows, err := removeSubscriptions(tx, userKey, where, args...)
	if err != nil {
		return registry.Removed{}, err
	}
	for _, r := range rows {
		removed.Subscriptions = append(removed.Subscriptions, r.subscription(before[0].UserID, nil))
		removed.Erasures = append(removed.Erasures, r.erasures(before[0].UserID)...)
		removed.Erasures = append(removed.Erasures, r.headerErasures(before[0].UserID)...)
	}
	if removed.Last, err = removeEmpty(tx, user); err != nil {
		return registry.Removed{}, err
	}
	if removed.Last {
		removed.Erasures = append(removed.Erasures, user.erasures()...)
	}
	return removed, putErasures(tx, removed.Erasures, 0)
}

// removeSubscriptions returns what it removed. It locks first: a rotation under way would
// name another account of the vault.
func removeSubscriptions(tx *gorm.DB, userKey, where string, args ...any) ([]subscriptionRow, error) {
	var rows []subscriptionRow
	err := locked(tx).Where("user_key = ?", userKey).Where(where, args...).Order("id").Find(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("reading the subscriptions to remove: %w", err)
	}
	ids := make([]string, len(rows))
	for i, r := range rows {
		ids[i] = r.ID
	}
	for part := range slicesOf(ids) {
		// The subscription goes first: who stores cursors locks it first as well.
		if err := tx.Where("id IN ?", part).Delete(&subscriptionRow{}).Error; err != nil {
			return nil, fmt.Errorf("removing subscriptions: %w", err)
		}
		if err := tx.Where("subscription_id IN ?", part).Delete(&cursorRow{}).Error; err != nil {
			return nil, fmt.Errorf("removing cursors: %w", err)
		}
		if err := tx.Where("subscription_id IN ?", part).Delete(&deadLetterRow{}).Error; err != nil {
			return nil, fmt.Errorf("removing dead letters: %w", err)
		}
	}
	return rows, nil
}

// removeEmpty removes registrations that have lost their last subscription, and the user
// with the last registration; it says whether it did the latter. Of a disabled user the
// row stays, without a login: who is disabled is so still when he subscribes anew.
func removeEmpty(tx *gorm.DB, user userRow) (last bool, err error) {
	err = tx.Where("user_key = ? AND client_id NOT IN (?)", user.UserKey,
		tx.Model(&subscriptionRow{}).Select("client_id").Where("user_key = ?", user.UserKey)).
		Delete(&registrationRow{}).Error
	if err != nil {
		return false, fmt.Errorf("removing registrations: %w", err)
	}
	var left int64
	if err := tx.Model(&registrationRow{}).Where("user_key = ?", user.UserKey).Count(&left).Error; err != nil {
		return false, fmt.Errorf("counting registrations: %w", err)
	}
	if left > 0 {
		return false, nil
	}
	if user.Enabled {
		err = tx.Where("user_key = ?", user.UserKey).Delete(&userRow{}).Error
	} else {
		bare := user.bare()
		err = tx.Select("*").Updates(&bare).Error
	}
	if err != nil {
		return false, fmt.Errorf("removing the user: %w", err)
	}
	return true, nil
}
