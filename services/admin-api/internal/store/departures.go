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

	"mailpush.internal/services/admin-api/internal/registry"
)

// departureRow is an endpoint that is gone, its subscription disabled since or not. That of
// one that goes on lies ahead of its time, for it is asked ever more rarely: an origin that
// is broken for long would seem to be mended.
type departureRow struct {
	SubscriptionID string `gorm:"primaryKey"`
	Origin         string
	At             int64
}

func (departureRow) TableName() string { return "departures" }

// stormRow is the lock of an origin whose endpoints leave, and remembers when it was
// last told that they are too many. An origin is no row of its own elsewhere, and without
// a lock two calls would each count without the other's.
type stormRow struct {
	Origin string `gorm:"primaryKey"`
	At     int64
	ToldAt int64
}

func (stormRow) TableName() string { return "storms" }

// Depart takes in that an endpoint is gone, under the conditions of Report. It disables
// the subscription for GoneKept, after which Expire removes it, unless too many endpoints
// of its origin are gone as well. One that is disabled already is so again: the answer of
// the first time may be lost.
//
// The subscription is read without a lock, to know its origin, and disabled only at the
// revision that was read: its lock comes after the origin's.
func (s *Store) Depart(ctx context.Context, shards uint32, r registry.Report, now time.Time) (registry.Departure, error) {
	var out registry.Departure
	err := s.record(ctx, func(tx *gorm.DB) ([]registry.HistoryEntry, error) {
		out = registry.Departure{Verdict: registry.VerdictNone}
		refused, err := stale(locked(tx), []registry.Claim{r.Claim})
		if err != nil || len(refused) > 0 {
			return nil, err
		}
		var row subscriptionRow
		err = tx.Where("id = ?", r.Subscription).Take(&row).Error
		if errors.Is(err, gorm.ErrRecordNotFound) {
			out.Verdict, err = departed(tx, r.Subscription, now)
			return nil, err
		}
		if err != nil {
			return nil, fmt.Errorf("reading the subscription: %w", err)
		}
		if !row.answers(r, shards) {
			return nil, nil
		}
		if out, err = depart(tx, row, r, now); err != nil || !out.News {
			return nil, err
		}
		kept := now.Add(registry.GoneKept).UTC().Format(time.RFC3339)
		happened := row.happened(registry.SubscriptionDisabled, fmt.Sprintf("gone, kept until %s: %s", kept, r.Reason))
		return owned(tx, []subscriptionRow{row}, []registry.HistoryEntry{happened})
	})
	if err != nil {
		return registry.Departure{}, fmt.Errorf("disabling subscription %s, whose endpoint is gone: %w", r.Subscription, err)
	}
	return out, nil
}

// departed says what became of a subscription that is not there: a replica of an earlier
// release may have removed it.
func departed(tx *gorm.DB, subscription string, now time.Time) (registry.Verdict, error) {
	var left int64
	err := tx.Model(&departureRow{}).Where("subscription_id = ? AND at > ?", subscription, windowBegin(now)).Count(&left).Error
	if err != nil {
		return "", fmt.Errorf("reading departures: %w", err)
	}
	if left > 0 {
		return registry.VerdictDeleted, nil
	}
	return registry.VerdictNone, nil
}

func windowBegin(now time.Time) int64 { return now.Add(-registry.GoneWindow).UnixMicro() }

// depart counts the departure and decides. The storm's row comes first: it is what
// reports about one origin wait for, so that each sees those before it.
func depart(tx *gorm.DB, row subscriptionRow, r registry.Report, now time.Time) (registry.Departure, error) {
	if row.Disabled { // why it is stays to be read
		return registry.Departure{Verdict: registry.VerdictDisabled}, nil
	}
	err := tx.Clauses(clause.OnConflict{
		Columns: []clause.Column{{Name: "origin"}}, DoUpdates: clause.AssignmentColumns([]string{"at"}),
	}).Create(&stormRow{Origin: row.Origin, At: now.UnixMicro()}).Error
	if err != nil {
		return registry.Departure{}, fmt.Errorf("locking the origin: %w", err)
	}
	storm, err := countGone(tx, row, now)
	if err != nil {
		return registry.Departure{}, err
	}
	if registry.HoldGone(storm.Gone, storm.Endpoints) {
		return hold(tx, row, storm, r, now)
	}
	return keepGone(tx, row, r, now)
}

// keepGone disables a subscription whose endpoint is gone, unless another call has changed
// it meanwhile: then the report is about what was.
func keepGone(tx *gorm.DB, row subscriptionRow, r registry.Report, now time.Time) (registry.Departure, error) {
	at := now.UnixMicro()
	done := tx.Model(&subscriptionRow{}).Where("id = ? AND revision = ? AND disabled = ?", row.ID, row.Revision, false).
		Updates(map[string]any{
			"disabled": true, "disabled_reason": clip("gone: " + r.Reason), "disabled_at": at, "gone_at": at,
			"last_error": clip(r.Reason),
		})
	switch {
	case done.Error != nil:
		return registry.Departure{}, fmt.Errorf("disabling the subscription: %w", done.Error)
	case done.RowsAffected == 0:
		return registry.Departure{Verdict: registry.VerdictNone}, nil
	}
	return registry.Departure{Verdict: registry.VerdictDisabled, News: true}, nil
}

// countGone notes the departure, forgets what is too old to count, and counts the
// origin's endpoints: those that are gone, and with them those that are subscribed.
func countGone(tx *gorm.DB, row subscriptionRow, now time.Time) (registry.Storm, error) {
	storm := registry.Storm{Origin: row.Origin}
	err := tx.Clauses(clause.OnConflict{
		Columns: []clause.Column{{Name: "subscription_id"}}, DoUpdates: clause.AssignmentColumns([]string{"origin", "at"}),
	}).Create(&departureRow{SubscriptionID: row.ID, Origin: row.Origin, At: now.UnixMicro()}).Error
	if err != nil {
		return storm, fmt.Errorf("noting the departure: %w", err)
	}
	begin := windowBegin(now)
	if err := tx.Where("origin = ? AND at <= ?", row.Origin, begin).Delete(&departureRow{}).Error; err != nil {
		return storm, fmt.Errorf("forgetting departures: %w", err)
	}
	if err := tx.Model(&departureRow{}).Where("origin = ?", row.Origin).Count(&storm.Gone).Error; err != nil {
		return storm, fmt.Errorf("counting departures: %w", err)
	}
	if !registry.HoldGone(storm.Gone, 0) {
		return storm, nil // too few, whatever their share
	}
	storm.Endpoints, err = countEndpoints(tx, row.Origin, storm.Gone)
	return storm, err
}

// countEndpoints counts the origin's endpoints, those that have left among them. An
// origin may have a million: it stops where so many gone are not too many.
func countEndpoints(tx *gorm.DB, origin string, gone int64) (int64, error) {
	enough := 1
	for registry.HoldGone(gone, int64(enough)) {
		enough *= 2
	}
	some := tx.Model(&subscriptionRow{}).Select("id").Where("origin = ?", origin).Limit(enough)
	var subscribed, left int64
	if err := tx.Table("(?) t", some).Count(&subscribed).Error; err != nil {
		return 0, fmt.Errorf("counting the origin's endpoints: %w", err)
	}
	err := tx.Model(&departureRow{}).
		Where("origin = ? AND NOT EXISTS (SELECT 1 FROM subscriptions s WHERE s.id = departures.subscription_id)", origin).
		Count(&left).Error
	if err != nil {
		return 0, fmt.Errorf("counting departures: %w", err)
	}
	return subscribed + left, nil
}

// hold has a subscription go on in spite of what its endpoint says. Its departure is dated
// ahead, so that it counts for HeldWindow by the comparison that all are counted by, and
// the origin is told of once in GoneWindow, whichever replica is the first to see it.
func hold(tx *gorm.DB, row subscriptionRow, storm registry.Storm, r registry.Report, now time.Time) (registry.Departure, error) {
	said := clip(fmt.Sprintf("is gone, as are %d of %d endpoints of its origin: not disabled: %s",
		storm.Gone, storm.Endpoints, r.Reason))
	kept := tx.Model(&subscriptionRow{}).Where("id = ? AND revision = ?", row.ID, row.Revision).Update("last_error", said)
	if kept.Error != nil {
		return registry.Departure{}, fmt.Errorf("keeping the subscription: %w", kept.Error)
	}
	counts := now.Add(registry.HeldWindow - registry.GoneWindow)
	err := tx.Model(&departureRow{}).Where("subscription_id = ?", row.ID).Update("at", counts.UnixMicro()).Error
	if err != nil {
		return registry.Departure{}, fmt.Errorf("keeping the departure: %w", err)
	}
	told := tx.Model(&stormRow{}).Where("origin = ? AND told_at <= ?", row.Origin, windowBegin(now)).
		Update("told_at", now.UnixMicro())
	if told.Error != nil {
		return registry.Departure{}, fmt.Errorf("remembering that the origin was told of: %w", told.Error)
	}
	storm.News = told.RowsAffected > 0
	return registry.Departure{Verdict: registry.VerdictHeld, Storm: storm}, nil
}

// forgetDepartures forgets those of endpoints that are known to work after all.
func forgetDepartures(tx *gorm.DB, subscriptions []string) error {
	if len(subscriptions) == 0 {
		return nil
	}
	if err := tx.Where("subscription_id IN ?", subscriptions).Delete(&departureRow{}).Error; err != nil {
		return fmt.Errorf("forgetting departures: %w", err)
	}
	return nil
}

// ForgetDepartures removes what is too old to count, of every origin. It needs no
// transaction: what it removes counts no more, also while it is there.
func (s *Store) ForgetDepartures(ctx context.Context, now time.Time) error {
	begin := windowBegin(now)
	if err := s.db.WithContext(ctx).Where("at <= ?", begin).Delete(&departureRow{}).Error; err != nil {
		return fmt.Errorf("forgetting departures: %w", err)
	}
	if err := s.db.WithContext(ctx).Where("at <= ? AND told_at <= ?", begin, begin).Delete(&stormRow{}).Error; err != nil {
		return fmt.Errorf("forgetting storms: %w", err)
	}
	return nil
}
