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

// DisableUser has nothing done for a user, and says whether that was so already: then only
// the reason changes, where one is given, for since when it is shows what was missed.
// NotFound when there is no such user.
func (s *Store) DisableUser(ctx context.Context, id registry.UserID, reason string, now time.Time) (already bool, err error) {
	reason, by := clip(reason), clip(registry.ActorOf(ctx).String())
	err = s.record(ctx, func(tx *gorm.DB) ([]registry.HistoryEntry, error) {
		row, err := lockKnown(tx, id)
		if err != nil {
			return nil, err
		}
		already = !row.Enabled
		if already && (reason == "" || reason == row.DisabledReason) {
			return nil, nil
		}
		if !already {
			row.DisabledAt = now.UnixMicro()
		}
		row.Enabled, row.DisabledReason, row.DisabledBy = false, reason, by
		happened := registry.HistoryEntry{UserID: id, Kind: registry.UserDisabled, Reason: reason}
		return []registry.HistoryEntry{happened}, putState(tx, row)
	})
	if err != nil {
		return false, fmt.Errorf("disabling user %s: %w", id, err)
	}
	return already, nil
}

// EnableUser ends that, and says whether there was nothing to end. NotFound when there is
// no such user.
func (s *Store) EnableUser(ctx context.Context, id registry.UserID) (already bool, err error) {
	err = s.record(ctx, func(tx *gorm.DB) ([]registry.HistoryEntry, error) {
		row, err := lockKnown(tx, id)
		if err != nil {
			return nil, err
		}
		if already = row.Enabled; already {
			return nil, nil
		}
		happened := registry.HistoryEntry{UserID: id, Kind: registry.UserEnabled}
		if row.DisabledReason != "" {
			happened.Reason = "was disabled: " + row.DisabledReason
		}
		row.Enabled, row.DisabledAt, row.DisabledReason, row.DisabledBy = true, 0, "", ""
		if err := putState(tx, row); err != nil {
			return nil, err
		}
		_, err = removeEmpty(tx, row) // nothing else may have kept it
		return []registry.HistoryEntry{happened}, err
	})
	if err != nil {
		return false, fmt.Errorf("enabling user %s: %w", id, err)
	}
	return already, nil
}

// lockKnown reads and locks a user who is there.
func lockKnown(tx *gorm.DB, id registry.UserID) (row userRow, err error) {
	err = locked(tx).Where("user_key = ?", id.Key()).Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return row, fault.New(fault.NotFound, "nothing is registered for user %s", id)
	}
	if err != nil {
		return row, fmt.Errorf("reading the user: %w", err)
	}
	return row, nil
}

func putState(tx *gorm.DB, row userRow) error {
	err := tx.Select("enabled", "disabled_at", "disabled_reason", "disabled_by").Updates(&row).Error
	if err != nil {
		return fmt.Errorf("storing the user: %w", err)
	}
	return nil
}
