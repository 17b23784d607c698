// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"testing"
	"time"

	"mailpush.internal/pkg/shard"
	"mailpush.internal/services/admin-api/internal/registry"
)

// noon is when the tests take place.
func noon() time.Time { return time.UnixMicro(1_800_000_000_000_000).UTC() }

func claimOf(u registry.UserID, epoch uint64) registry.Claim {
	return registry.Claim{Shard: registry.Shard{Backend: "imapidle", Number: shard.Of(u.Context, u.User, shards)}, Epoch: epoch}
}

func report(id string, u registry.UserID, outcome registry.Outcome) registry.Report {
	return registry.Report{Claim: claimOf(u, 5), Subscription: id, Outcome: outcome, Reason: "503 Service Unavailable"}
}

func TestReportsTellHowEndpointsFare(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		subscribe(t, s, subscription("sub_a", anna, "mobile", ""), login(1))
		tell := func(outcome registry.Outcome, since time.Time, want registry.Verdict) registry.Subscription {
			t.Helper()
			r := report("sub_a", anna, outcome)
			r.Since = since
			for range 2 { // the answer of the first time may be lost
				same(t, string(outcome), []registry.Verdict{want}, must(s.Report(ctx, shards, []registry.Report{r}, noon()))(t))
			}
			return must(s.Subscription(ctx, "sub_a"))(t)
		}
		if tell(registry.OutcomeHealthy, time.Time{}, registry.VerdictKept).Endpoint.Confirmed {
			t.Error("confirmed by being healthy")
		}
		want := registry.Endpoint{Origin: "https://hook.example:443", Confirmed: true}
		same(t, "confirmed", want, tell(registry.OutcomeConfirmed, time.Time{}, registry.VerdictKept).Endpoint)
		want.LastError = "503 Service Unavailable"
		want.FailingSince = noon().Add(-time.Hour)
		same(t, "failing", want, tell(registry.OutcomeFailing, want.FailingSince, registry.VerdictKept).Endpoint)
		same(t, "failing since later", want, tell(registry.OutcomeFailing, noon(), registry.VerdictKept).Endpoint)
		same(t, "failing, no moment given", want, tell(registry.OutcomeFailing, time.Time{}, registry.VerdictKept).Endpoint)
		want.FailingSince = noon().Add(-registry.FailingLimit + time.Second)
		same(t, "failing since earlier", want, tell(registry.OutcomeFailing, want.FailingSince, registry.VerdictKept).Endpoint)
		want.FailingSince, want.LastError = time.Time{}, ""
		same(t, "well again", want, tell(registry.OutcomeHealthy, time.Time{}, registry.VerdictKept).Endpoint)
		want.FailingSince, want.LastError = noon(), "503 Service Unavailable"
		same(t, "a clock ahead", want, tell(registry.OutcomeFailing, noon().Add(time.Hour), registry.VerdictKept).Endpoint)

		got := tell(registry.OutcomeFailing, noon().Add(-registry.FailingLimit), registry.VerdictDisabled)
		disabled := registry.Disabled{Is: true, At: noon(), Reason: "failing since 2027-01-10T08:00:00Z: 503 Service Unavailable"}
		same(t, "failed for five days", disabled, got.Disabled)
		got = tell(registry.OutcomeHealthy, time.Time{}, registry.VerdictDisabled)
		if got.Disabled != disabled || got.Endpoint.FailingSince.IsZero() {
			t.Errorf("a report has changed a disabled subscription: %+v", got)
		}
	})
}

func TestReportsThatChangeNothing(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		subscribe(t, s, subscription("sub_a", anna, "mobile", ""), login(1))
		subscribe(t, s, subscription("sub_b", bob, "mobile", ""), login(1))
		if claimOf(anna, 1).Number == claimOf(bob, 1).Number {
			t.Fatal("the two users must be of two shards")
		}
		must(s.OpenEpochs(ctx, []registry.Claim{claimOf(anna, 5), claimOf(bob, 5)}))(t)
		old, fenced, foreign := report("sub_a", anna, ""), report("sub_a", anna, ""), report("sub_a", anna, "")
		old.Revision, fenced.Claim.Epoch, foreign.Claim = 7, 4, claimOf(bob, 5)
		unknown := report("sub_c", anna, "")
		before := must(s.Subscription(ctx, "sub_a"))(t)
		for name, r := range map[string]registry.Report{"revision": old, "epoch": fenced, "shard": foreign, "unknown": unknown} {
			for _, outcome := range []registry.Outcome{registry.OutcomeConfirmed, registry.OutcomeFailing} {
				r.Outcome = outcome
				// Beside a report that is good.
				got := must(s.Report(ctx, shards, []registry.Report{r, report("sub_b", bob, registry.OutcomeConfirmed)}, noon()))(t)
				same(t, name, []registry.Verdict{registry.VerdictNone, registry.VerdictKept}, got)
			}
			r.Outcome = registry.OutcomeGone
			same(t, name, registry.Departure{Verdict: registry.VerdictNone}, must(s.Depart(ctx, shards, r, noon()))(t))
		}
		same(t, "subscription", before, must(s.Subscription(ctx, "sub_a"))(t))
		if !must(s.Subscription(ctx, "sub_b"))(t).Endpoint.Confirmed {
			t.Error("the good report was lost")
		}
		var rows int64
		if err := s.db.Model(&departureRow{}).Count(&rows).Error; err != nil || rows != 0 {
			t.Errorf("%d departures, error %v", rows, err)
		}
	})
}
