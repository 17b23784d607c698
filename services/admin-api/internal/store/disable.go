// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"

	"mailpush.internal/services/admin-api/internal/registry"
)

// Enable lets a subscription be pushed to, at its cursor; what was learned of its
// endpoint does not count any more, nor do reports that are under way: they are about an
// earlier revision. NotFound when there is none.
func (s *Store) Enable(ctx context.Context, id string) error {
	err := s.change(ctx, id, func(tx *gorm.DB, row *subscriptionRow) (happened registry.HistoryEntry, err error) {
		if row.Disabled {
			happened = row.enabledAgain(registry.SubscriptionEnabled)
		}
		return happened, enable(tx, row)
	})
	if err != nil {
		return fmt.Errorf("enabling subscription %s: %w", id, err)
	}
	return nil
}

// Disable keeps a subscription from being pushed to. Of one that is disabled only
// the reason changes: since when it is shows what was missed. The revision stays: that the
// endpoint wants pushes may be reported just now, and is true all the same. NotFound when
// there is none.
func (s *Store) Disable(ctx context.Context, id, reason string, now time.Time) error {
	err := s.change(ctx, id, func(_ *gorm.DB, row *subscriptionRow) (registry.HistoryEntry, error) {
		happened := row.happened(registry.SubscriptionDisabled, reason)
		if row.Disabled && row.DisabledReason == clip(reason) {
			happened = registry.HistoryEntry{}
		}
		if !row.Disabled {
			row.DisabledAt, row.GoneAt = now.UnixMicro(), 0
		}
		row.Disabled, row.DisabledReason = true, clip(reason)
		return happened, nil
	})
	if err != nil {
		return fmt.Errorf("disabling subscription %s: %w", id, err)
	}
	return nil
}

// enabledAgain is that a disabling comes to its end; the entry says why it was.
func (r subscriptionRow) enabledAgain(kind registry.HistoryKind) registry.HistoryEntry {
	return r.happened(kind, "was disabled: "+r.DisabledReason)
}
