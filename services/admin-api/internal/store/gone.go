// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/services/admin-api/internal/registry"
)

// expired matches subscriptions that have been kept long enough after their endpoints were
// gone; see [subscriptionRow.isGone].
const expired = "disabled = ? AND gone_at > 0 AND gone_at = disabled_at AND gone_at <= ?"

func keptSince(now time.Time) int64 { return now.Add(-registry.GoneKept).UnixMicro() }

// Expired names up to limit subscriptions that Expire removes by now, the longest gone
// first.
func (s *Store) Expired(ctx context.Context, now time.Time, limit int) ([]string, error) {
	var ids []string
	err := s.db.WithContext(ctx).Model(&subscriptionRow{}).Where(expired, true, keptSince(now)).
		Order("gone_at, id").Limit(limit).Pluck("id", &ids).Error
	if err != nil {
		return nil, fmt.Errorf("reading which subscriptions have been gone for long: %w", err)
	}
	return ids, nil
}

// Expire removes a subscription as Unsubscribe does, if its endpoint has been gone for
// GoneKept by now and nobody has restored it. NotFound when there is none to remove: of
// several replicas one does it.
func (s *Store) Expire(ctx context.Context, id string, now time.Time) (registry.Removed, error) {
	return s.unsubscribe(ctx, id, endedGone, expired, true, keptSince(now))
}

// Restore lets a subscription whose endpoint was gone be pushed to again, at its cursor, as
// Enable does. Precondition when it is not one of those, NotFound when there is none.
func (s *Store) Restore(ctx context.Context, id string) error {
	err := s.change(ctx, id, func(tx *gorm.DB, row *subscriptionRow) (happened registry.HistoryEntry, err error) {
		switch {
		case !row.Disabled:
			return happened, fault.New(fault.Precondition, "subscription %s is not disabled: there is nothing to restore", id)
		case !row.isGone():
			return happened, fault.New(fault.Precondition, "the endpoint of subscription %s was not gone, it is disabled for another reason: enable it", id)
		}
		happened = row.enabledAgain(registry.SubscriptionRestored)
		return happened, enable(tx, row)
	})
	if err != nil {
		return fmt.Errorf("restoring subscription %s: %w", id, err)
	}
	return nil
}

// enable ends what keeps a subscription from being pushed to. Its endpoint does not count
// among those of its origin that are gone any more.
func enable(tx *gorm.DB, row *subscriptionRow) error {
	*row = enabled(*row)
	row.Revision++
	return forgetDepartures(tx, []string{row.ID})
}
