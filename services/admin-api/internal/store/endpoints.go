// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"gorm.io/gorm"

	"mailpush.internal/services/admin-api/internal/registry"
)

// Report stores what endpoints have come to, other than gone, and returns what
// became of their subscriptions, in the order of the reports. It does so under claims
// that are not fenced, for subscriptions of the claimed shard and of the reported
// revision; the others keep as they are. All are one transaction, since a worker reports
// many at once when an origin fails; several about one subscription build upon each other.
func (s *Store) Report(
	ctx context.Context, shards uint32, reports []registry.Report, now time.Time,
) ([]registry.Verdict, error) {
	var verdicts []registry.Verdict
	err := s.record(ctx, func(tx *gorm.DB) ([]registry.HistoryEntry, error) {
		verdicts = slices.Repeat([]registry.Verdict{registry.VerdictNone}, len(reports))
		refused, valid, err := reported(tx, reports)
		if err != nil {
			return nil, err
		}
		var accepting []string
		var of []subscriptionRow
		var happened []registry.HistoryEntry
		for i, r := range reports {
			row, ok := valid[r.Subscription]
			if !ok || !row.answers(r, shards) || slices.Contains(refused, r.Claim) {
				continue
			}
			if r.Outcome == registry.OutcomeHealthy || r.Outcome == registry.OutcomeConfirmed {
				accepting = append(accepting, row.ID)
			}
			next := learned(row, r, now)
			if next != row {
				if err := tx.Select(endpointColumns()).Updates(&next).Error; err != nil {
					return nil, fmt.Errorf("storing the report about subscription %s: %w", row.ID, err)
				}
			}
			for _, e := range learning(row, next) {
				of, happened = append(of, row), append(happened, e)
			}
			valid[r.Subscription] = next
			verdicts[i] = registry.VerdictKept
			if next.Disabled {
				verdicts[i] = registry.VerdictDisabled
			}
		}
		if err := forgetDepartures(tx, accepting); err != nil || len(happened) == 0 {
			return nil, err
		}
		return owned(tx, of, happened)
	})
	if err != nil {
		return nil, fmt.Errorf("storing reports about endpoints: %w", err)
	}
	return verdicts, nil
}

// reported locks the claims of the reports, then the subscriptions, as a commit of cursors
// does. It returns the claims that are fenced, and the subscriptions that exist.
func reported(tx *gorm.DB, reports []registry.Report) ([]registry.Claim, map[string]subscriptionRow, error) {
	claims, ids := make([]registry.Claim, len(reports)), make([]string, len(reports))
	for i, r := range reports {
		claims[i], ids[i] = r.Claim, r.Subscription
	}
	refused, err := stale(locked(tx), claims)
	if err != nil {
		return nil, nil, err
	}
	known, err := lockSubscriptions(tx, ids, "*")
	return refused, known, err
}

// answers says whether a report is about the subscription as it is now, and under a
// claim to its shard. A report may be on its way while the target is replaced: what the
// old endpoint has said must not disable the new one.
func (r subscriptionRow) answers(report registry.Report, shards uint32) bool {
	return unsigned(r.Revision) == report.Revision && r.ofShard(report.Claim, shards)
}

// endpointColumns are what a report may change. Nothing else of a subscription is a
// worker's to write, whatever it claims.
func endpointColumns() []string {
	return []string{
		"confirmed", "failing_since", "last_error", "disabled", "disabled_reason", "disabled_at", "absent_since", "absent_seen",
	}
}

// learned is the row after a report. One that is disabled learns nothing but that its
// endpoint wants pushes: why it is disabled stays to be read, and only people end it.
func learned(row subscriptionRow, r registry.Report, now time.Time) subscriptionRow {
	switch r.Outcome {
	case registry.OutcomeConfirmed:
		row.Confirmed, row.AbsentSince, row.AbsentSeen = true, 0, 0
	case registry.OutcomeHealthy:
		if !row.Disabled {
			row.FailingSince, row.LastError, row.AbsentSince, row.AbsentSeen = 0, "", 0, 0
		}
	case registry.OutcomeFailing:
		if !row.Disabled {
			return failing(absent(row, r, now), r, now)
		}
	case registry.OutcomeGone:
	}
	return row
}

// absent is the row with the evidence that its endpoint is gone, as its worker reports it: what
// that leaves out is none any more. A worker's clock may be ahead.
func absent(row subscriptionRow, r registry.Report, now time.Time) subscriptionRow {
	row.AbsentSince, row.AbsentSeen = 0, 0
	if !r.AbsentSince.IsZero() {
		row.AbsentSince = min(r.AbsentSince.UnixMicro(), now.UnixMicro())
		row.AbsentSeen = min(max(r.AbsentSeen.UnixMicro(), row.AbsentSince), now.UnixMicro())
	}
	return row
}

// failing is the row of an endpoint that fails: disabled when it has for too long. Since
// when it fails is the earliest that anybody has said: reports of two workers may come in
// any order.
func failing(row subscriptionRow, r registry.Report, now time.Time) subscriptionRow {
	since := now.UnixMicro()
	if !r.Since.IsZero() {
		since = min(since, r.Since.UnixMicro()) // a worker's clock may be ahead
	}
	if row.FailingSince != 0 {
		since = min(since, row.FailingSince)
	}
	row.FailingSince, row.LastError = since, clip(r.Reason)
	if began := moment(since); now.Sub(began) >= registry.FailingLimit {
		row.Disabled, row.DisabledAt = true, now.UnixMicro()
		row.DisabledReason = clip(fmt.Sprintf("failing since %s: %s", began.Format(time.RFC3339), r.Reason))
	}
	return row
}

// learning is what has happened to a subscription by a report that has made one row of
// another.
func learning(before, after subscriptionRow) (out []registry.HistoryEntry) {
	if after.Confirmed && !before.Confirmed {
		confirmed := before.happened(registry.EndpointConfirmed, before.origin())
		confirmed.Merge = before.ID
		out = append(out, confirmed)
	}
	if after.Disabled && !before.Disabled {
		out = append(out, before.happened(registry.SubscriptionDisabled, after.DisabledReason))
	}
	return out
}
