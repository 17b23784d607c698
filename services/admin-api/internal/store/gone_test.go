// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/services/admin-api/internal/registry"
)

// leave has the endpoint of a subscription be gone at noon.
func leave(t *testing.T, s *Store, id string, user registry.UserID) registry.Subscription {
	t.Helper()
	r := report(id, user, registry.OutcomeGone)
	r.Revision = must(s.Subscription(t.Context(), id))(t).Revision
	got := must(s.Depart(t.Context(), shards, r, noon()))(t)
	same(t, "departure", registry.Departure{Verdict: registry.VerdictDisabled, News: true}, got)
	return must(s.Subscription(t.Context(), id))(t)
}

// What is gone is kept whole: disabled with its reason, with cursor and login, and no
// worker has it.
func TestGoneSubscriptionIsKept(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		subscribe(t, s, subscription("sub_a", anna, "mobile", ""), login(1))
		before := must(s.Subscription(ctx, "sub_a"))(t)
		got := leave(t, s, "sub_a", anna)
		want := before
		want.Disabled = registry.Disabled{Is: true, Gone: true, Reason: "gone: 503 Service Unavailable", At: noon()}
		want.Endpoint.LastError = "503 Service Unavailable"
		same(t, "subscription", want, got)
		same(t, "kept until", noon().Add(registry.GoneKept), got.Disabled.KeptUntil())

		// The answer may be lost, or come late: nothing more happens.
		for _, later := range []time.Duration{0, time.Hour, 6 * 24 * time.Hour} {
			again := must(s.Depart(ctx, shards, report("sub_a", anna, registry.OutcomeGone), noon().Add(later)))(t)
			same(t, "said again", registry.Departure{Verdict: registry.VerdictDisabled}, again)
		}
		same(t, "subscription", got, must(s.Subscription(ctx, "sub_a"))(t))
		if state := must(s.User(ctx, anna))(t).Credential.State; state != registry.CredentialStored {
			t.Errorf("the login is %s", state)
		}
		boxes, _, err := s.ListShards(ctx, []string{"demo"}, []uint32{claimOf(anna, 1).Number}, shards, registry.Position{}, registry.PageSize{Users: 9, Subscriptions: 9})
		if err != nil || len(boxes) != 1 || len(boxes[0].Subscriptions) != 0 {
			t.Errorf("workers see %+v, %v", boxes, err)
		}
	})
}

func TestGoneSubscriptionIsDeletedAfterAWeek(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		subscribe(t, s, subscription("sub_a", anna, "mobile", ""), login(1))
		subscribe(t, s, subscription("sub_b", bob, "mobile", ""), login(1))
		if err := s.Disable(ctx, "sub_b", "by hand", noon()); err != nil { // that one stays
			t.Fatal(err)
		}
		leave(t, s, "sub_a", anna)
		early, late := noon().Add(registry.GoneKept-time.Second), noon().Add(registry.GoneKept)
		same(t, "expired early", []string{}, append([]string{}, must(s.Expired(ctx, early, 9))(t)...))
		if _, err := s.Expire(ctx, "sub_a", early); fault.KindOf(err) != fault.NotFound {
			t.Errorf("expired early: %v", err)
		}
		same(t, "expired", []string{"sub_a"}, must(s.Expired(ctx, late, 9))(t))
		if _, err := s.Expire(ctx, "sub_b", late); fault.KindOf(err) != fault.NotFound {
			t.Errorf("another one: %v", err)
		}
		var wg sync.WaitGroup
		var removed atomic.Int32
		for range 4 { // replicas
			wg.Go(func() {
				got, err := s.Expire(ctx, "sub_a", late)
				switch {
				case err == nil && got.Last && len(got.Erasures) == 3 && len(got.Subscriptions) == 1:
					removed.Add(1)
				case fault.KindOf(err) != fault.NotFound:
					t.Errorf("got %+v, %v", got, err)
				}
			})
		}
		wg.Wait()
		if removed.Load() != 1 {
			t.Errorf("removed %d times", removed.Load())
		}
		if _, err := s.User(ctx, anna); fault.KindOf(err) != fault.NotFound {
			t.Errorf("the user: %v", err)
		}
		if _, err := s.Subscription(ctx, "sub_b"); err != nil {
			t.Errorf("the other subscription: %v", err)
		}
	})
}

func TestGoneSubscriptionIsRestored(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		subscribe(t, s, subscription("sub_a", anna, "mobile", ""), login(1))
		subscribe(t, s, subscription("sub_b", bob, "mobile", ""), login(1))
		before := must(s.Subscription(ctx, "sub_a"))(t)
		for name, revive := range map[string]func() error{
			"restored": func() error { return s.Restore(ctx, "sub_a") },
			"enabled":  func() error { return s.Enable(ctx, "sub_a") },
			"subscribed again": func() error { // even with the secret there is
				return subscribeOne(ctx, s, enrolment(t, s, must(s.Subscription(ctx, "sub_a"))(t), "demo", nil))
			},
		} {
			revision := leave(t, s, "sub_a", anna).Revision
			if err := revive(); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			got := must(s.Subscription(ctx, "sub_a"))(t)
			if got.Revision != revision+1 {
				t.Errorf("%s: revision %d after %d", name, got.Revision, revision)
			}
			got.Revision = before.Revision
			same(t, name, before, got)
			same(t, "expired", 0, len(must(s.Expired(ctx, noon().Add(2*registry.GoneKept), 9))(t)))
			if name != "subscribed again" {
				same(t, "departures", int64(0), departures(t, s))
			}
			if err := s.ForgetDepartures(ctx, noon().Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Restore(ctx, "sub_a"); fault.KindOf(err) != fault.Precondition {
			t.Errorf("one that is not disabled: %v", err)
		}
		if err := s.Disable(ctx, "sub_b", "by hand", noon()); err != nil {
			t.Fatal(err)
		}
		if err := s.Restore(ctx, "sub_b"); fault.KindOf(err) != fault.Precondition {
			t.Errorf("one that was disabled by hand: %v", err)
		}
		if err := s.Restore(ctx, "sub_x"); fault.KindOf(err) != fault.NotFound {
			t.Errorf("one that is not there: %v", err)
		}
	})
}

// A replica of the release before enables a subscription without knowing that it was gone,
// and disables it later: it is not deleted for that.
func TestGoneIsForgottenByAnEarlierRelease(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		subscribe(t, s, subscription("sub_a", anna, "mobile", ""), login(1))
		leave(t, s, "sub_a", anna)
		set := func(disabled bool, at time.Time) {
			t.Helper()
			columns := map[string]any{"disabled": disabled, "disabled_at": micros(at)}
			if err := s.db.Model(&subscriptionRow{}).Where("id = ?", "sub_a").Updates(columns).Error; err != nil {
				t.Fatal(err)
			}
		}
		late := noon().Add(2 * registry.GoneKept)
		for _, disabled := range []bool{false, true} {
			set(disabled, noon().Add(time.Hour))
			if got := must(s.Subscription(ctx, "sub_a"))(t).Disabled; got.Gone || !got.KeptUntil().IsZero() {
				t.Errorf("disabled %v: %+v", disabled, got)
			}
			same(t, "expired", 0, len(must(s.Expired(ctx, late, 9))(t)))
			if _, err := s.Expire(ctx, "sub_a", late); fault.KindOf(err) != fault.NotFound {
				t.Errorf("disabled %v: %v", disabled, err)
			}
		}
	})
}

// The evidence outlives the worker that has gathered it, and no word that there is none.
func TestEvidenceOfAbsenceIsKept(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		subscribe(t, s, subscription("sub_a", anna, "mobile", ""), login(1))
		tell := func(outcome registry.Outcome, since, seen time.Time) registry.Endpoint {
			t.Helper()
			r := report("sub_a", anna, outcome)
			r.AbsentSince, r.AbsentSeen = since, seen
			must(s.Report(ctx, shards, []registry.Report{r}, noon()))(t)
			return must(s.Subscription(ctx, "sub_a"))(t).Endpoint
		}
		hour := func(n int) time.Time { return noon().Add(time.Duration(n) * time.Hour) }
		check := func(what string, got registry.Endpoint, since, seen time.Time) {
			t.Helper()
			if !got.AbsentSince.Equal(since) || !got.AbsentSeen.Equal(seen) {
				t.Errorf("%s: since %s, seen %s", what, got.AbsentSince, got.AbsentSeen)
			}
		}
		check("told", tell(registry.OutcomeFailing, hour(-5), hour(-1)), hour(-5), hour(-1))
		check("begun anew", tell(registry.OutcomeFailing, hour(-2), hour(-1)), hour(-2), hour(-1))
		check("a clock ahead", tell(registry.OutcomeFailing, hour(1), hour(2)), noon(), noon())
		check("fails in another way", tell(registry.OutcomeFailing, time.Time{}, time.Time{}), time.Time{}, time.Time{})
		for _, outcome := range []registry.Outcome{registry.OutcomeHealthy, registry.OutcomeConfirmed} {
			tell(registry.OutcomeFailing, hour(-5), hour(-1))
			check(string(outcome), tell(outcome, time.Time{}, time.Time{}), time.Time{}, time.Time{})
		}
		tell(registry.OutcomeFailing, hour(-5), hour(-1))
		if err := s.Enable(ctx, "sub_a"); err != nil {
			t.Fatal(err)
		}
		check("enabled", must(s.Subscription(ctx, "sub_a"))(t).Endpoint, time.Time{}, time.Time{})
	})
}
