// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mailpush.internal/services/admin-api/internal/registry"
)

// endpoints fills the registry with subscriptions of one origin, one of each user.
func endpoints(t *testing.T, s *Store, n int) []registry.Subscription {
	t.Helper()
	var users []userRow
	var registrations []registrationRow
	var rows []subscriptionRow
	subs := make([]registry.Subscription, n)
	for i := range subs {
		u := registry.UserID{Context: "1", User: fmt.Sprint(i)}
		subs[i] = subscription(fmt.Sprintf("sub_%d", i), u, "mobile", "")
		users = append(users, userRow{UserKey: u.Key(), ContextID: "1", UserID: u.User, Cell: int64(u.Cell()), Store: "demo", CredentialState: "stored"})
		registrations = append(registrations, registrationRow{UserKey: u.Key(), ClientID: "mobile"})
		rows = append(rows, newSubscriptionRow(subs[i]))
	}
	for _, list := range []any{users, registrations, rows} {
		if err := s.db.CreateInBatches(list, 100).Error; err != nil {
			t.Fatal(err)
		}
	}
	return subs
}

// TestGoneStorm lets endpoints of one origin be gone, one a second.
func TestGoneStorm(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		endpoints, gone int
		held            int // how many of these, at the end, are kept
	}{
		"nine of nine":    {9, 9, 0},
		"ten of twenty":   {20, 10, 1},
		"all of twenty":   {20, 20, 11},
		"150 of 1,000":    {1000, 150, 0},
		"ten of fifty":    {50, 10, 0},
		"eleven of fifty": {50, 11, 1},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, s *Store) {
				news := 0
				for i, sub := range endpoints(t, s, tt.endpoints)[:tt.gone] {
					want := registry.VerdictDisabled
					if i >= tt.gone-tt.held {
						want = registry.VerdictHeld
					}
					at := noon().Add(time.Duration(i) * time.Second)
					for range 2 { // an endpoint counts once, however often it is told of
						got := must(s.Depart(t.Context(), shards, report(sub.ID, sub.UserID, registry.OutcomeGone), at))(t)
						if got.Verdict != want {
							t.Fatalf("number %d: %+v, want %s", i+1, got, want)
						}
						if got.Storm.News {
							news++
						}
					}
				}
				left := 0
				for _, sub := range must(s.ListSubscriptions(t.Context(), registry.UserID{}, "", "", 2000))(t) {
					if !sub.Disabled.Is {
						left++
					}
				}
				if left != tt.endpoints-tt.gone+tt.held || (news == 1) != (tt.held > 0) {
					t.Errorf("%d left, told of %d times", left, news)
				}
			})
		})
	}
}

func TestGoneStormPasses(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		subs := endpoints(t, s, 20)
		gone := func(i int, at time.Time) registry.Departure {
			t.Helper()
			return must(s.Depart(ctx, shards, report(subs[i].ID, subs[i].UserID, registry.OutcomeGone), at))(t)
		}
		for i := range 9 {
			got := gone(i, noon())
			if got.Verdict != registry.VerdictDisabled || !got.News {
				t.Fatalf("got %+v", got)
			}
		}
		storm := registry.Storm{Origin: "https://hook.example:443", Gone: 10, Endpoints: 20, News: true}
		same(t, "the tenth", registry.Departure{Verdict: registry.VerdictHeld, Storm: storm}, gone(9, noon()))
		kept := must(s.Subscription(ctx, subs[9].ID))(t)
		same(t, "reason", "is gone, as are 10 of 20 endpoints of its origin: not disabled: 503 Service Unavailable", kept.Endpoint.LastError)

		// Another origin has nothing to do with it.
		other := subscription("sub_other", anna, "mobile", "")
		other.Endpoint.Origin = "https://other.example:443"
		subscribe(t, s, other, login(1))
		if got := must(s.Depart(ctx, shards, report("sub_other", anna, registry.OutcomeGone), noon()))(t); got.Verdict != registry.VerdictDisabled {
			t.Errorf("another origin: %+v", got)
		}

		within := noon().Add(registry.GoneWindow - time.Second)
		storm = registry.Storm{Origin: "https://hook.example:443", Gone: 11, Endpoints: 20}
		same(t, "within the window", registry.Departure{Verdict: registry.VerdictHeld, Storm: storm}, gone(10, within))
		if err := s.ForgetDepartures(ctx, within); err != nil {
			t.Error(err)
		}
		same(t, "number of departures", int64(12), departures(t, s))
		// The nine and the tenth are forgotten, the eleventh counts still.
		if got := gone(9, noon().Add(registry.GoneWindow)); got.Verdict != registry.VerdictDisabled {
			t.Errorf("after the window: %+v", got)
		}
		if err := s.ForgetDepartures(ctx, noon().Add(2*registry.HeldWindow)); err != nil {
			t.Error(err)
		}
		same(t, "number of departures", int64(0), departures(t, s))
	})
}

// What is kept is asked ever more rarely. The origin is broken all the same, until its
// endpoints are known to work.
func TestGoneStormLasts(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		subs, now := endpoints(t, s, 20), noon()
		gone := func(i int) registry.Verdict {
			t.Helper()
			return must(s.Depart(t.Context(), shards, report(subs[i].ID, subs[i].UserID, registry.OutcomeGone), now))(t).Verdict
		}
		for i := range subs {
			gone(i)
		}
		for i := range 11 { // the last eleven were kept
			now = now.Add(time.Hour)
			if err := s.ForgetDepartures(t.Context(), now); err != nil {
				t.Fatal(err)
			}
			if got := gone(9 + i); got != registry.VerdictHeld {
				t.Fatalf("number %d after %d hours: %s", 10+i, 1+i, got)
			}
		}
		for _, sub := range subs[9:11] {
			must(s.Report(t.Context(), shards, []registry.Report{report(sub.ID, sub.UserID, registry.OutcomeHealthy)}, now))(t)
		}
		if got := gone(19); got != registry.VerdictDisabled { // nine are left
			t.Errorf("with two that work: %s", got)
		}
	})
}

func departures(t *testing.T, s *Store) (rows int64) {
	t.Helper()
	if err := s.db.Model(&departureRow{}).Count(&rows).Error; err != nil {
		t.Fatal(err)
	}
	return rows
}

// TestGoneTogether has the workers of many shards report at the same moment: each
// must see what the others have come to.
func TestGoneTogether(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		var wg sync.WaitGroup
		var disabled, held, news atomic.Int32
		for _, sub := range endpoints(t, s, 24) {
			wg.Go(func() {
				got, err := s.Depart(t.Context(), shards, report(sub.ID, sub.UserID, registry.OutcomeGone), noon())
				if err != nil {
					t.Error(err)
				}
				switch got.Verdict {
				case registry.VerdictDisabled:
					disabled.Add(1)
				case registry.VerdictHeld:
					held.Add(1)
				default:
					t.Errorf("got %+v", got)
				}
				if got.Storm.News {
					news.Add(1)
				}
			})
		}
		wg.Wait()
		if disabled.Load() != 9 || held.Load() != 15 || news.Load() != 1 {
			t.Errorf("%d disabled, %d held, told of %d times", disabled.Load(), held.Load(), news.Load())
		}
	})
}
