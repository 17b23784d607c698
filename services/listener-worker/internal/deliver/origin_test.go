// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deliver_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"mailpush.internal/services/listener-worker/internal/deliver"
	"mailpush.internal/services/listener-worker/internal/deliver/pump"
	"mailpush.internal/services/listener-worker/internal/mailbox"
	"mailpush.internal/services/listener-worker/internal/transport"
)

const gateway = "https://gateway.example/"

// neighbours are what may lie beside an endpoint that works: what each is answered.
func neighbours() map[string]func(context.Context) transport.Result {
	says := func(class transport.Class, after time.Duration, detail string) func(context.Context) transport.Result {
		return func(context.Context) transport.Result {
			return transport.Result{Class: class, After: after, Detail: "the endpoint answered " + detail}
		}
	}
	return map[string]func(context.Context) transport.Result{
		"broken":      says(transport.Retry, 0, "500"),
		"busy":        says(transport.Retry, time.Minute, "429"),
		"locked":      says(transport.Auth, 0, "401"),
		"missing":     says(transport.Gone, 0, "404"),
		"redirecting": says(transport.Misconfigured, 0, "301"),
		"choosy":      says(transport.PermanentItem, 0, "400"),
		"hanging": func(ctx context.Context) transport.Result {
			select {
			case <-time.After(15 * time.Second):
			case <-ctx.Done():
			}
			return transport.Result{Class: transport.Retry, Unanswered: true, Detail: "no answer in time"}
		},
		"refused here": func(context.Context) transport.Result {
			return transport.Result{Class: transport.Misconfigured, Unanswered: true, Detail: "the endpoint's URL is not a URL"}
		},
	}
}

// down is what everybody is answered while the origin is not there.
func down() transport.Result {
	return transport.Result{Class: transport.Retry, Unanswered: true, Unreached: true, Detail: "no answer: dial: connection refused"}
}

// shared is an origin where endpoints are, by the names of neighbours their ids begin with.
type sharedOrigin struct {
	*fakeWorld

	isDown bool
	ill    bool // what is in front of all endpoints answers 503
	served map[string]time.Time
}

// share makes the world's endpoints be at one origin.
func share(w *fakeWorld) *sharedOrigin {
	s := &sharedOrigin{fakeWorld: w, served: make(map[string]time.Time)}
	kinds := neighbours()
	w.answer = func(ctx context.Context, push transport.Push) transport.Result {
		w.mu.Lock()
		isDown, ill := s.isDown, s.ill
		w.mu.Unlock()
		kind, _, _ := strings.Cut(push.Subscription, "-")
		switch answer := kinds[kind]; {
		case isDown:
			return down()
		case ill:
			return transport.Result{Class: transport.Retry, Detail: "the endpoint answered 503"}
		case answer != nil:
			return answer(ctx)
		}
		w.set(func(*fakeWorld) { s.served[push.Subscription] = time.Now() })
		return transport.Result{}
	}
	w.consent = func() transport.Result {
		if s.isDown {
			return down()
		}
		return transport.Result{Class: transport.Retry, Detail: "the endpoint answered 500"}
	}
	return s
}

// tenantUser is a user of a tenant of its own.
func tenantUser(tenant string) mailbox.User { return mailbox.User{Context: tenant, ID: "1"} }

// beside adds a neighbour with mail, of another tenant.
func (s *sharedOrigin) beside(kind string, n int) mailbox.User {
	id := fmt.Sprint(kind, "-", n)
	u := mailbox.User{Context: "beside", ID: id}
	if kind == "never consented" {
		s.put(u, unconfirmed(id, gateway+id))
	} else {
		s.put(u, subscribed(id, gateway+id))
	}
	s.deliverMail(u, 1)
	return u
}

// within lets time pass until a subscription has been served up to a UID, and tells how
// long it took.
func (s *sharedOrigin) within(most time.Duration, subscription string, uid uint32) time.Duration {
	s.t.Helper()
	began := time.Now()
	for s.stored(subscription) != uid {
		if pass(100 * time.Millisecond); time.Since(began) > most {
			s.t.Errorf("%s has been served up to %d within %s, want %d", subscription, s.stored(subscription), most, uid)
			break
		}
	}
	return time.Since(began)
}

// What never consented fails again and again beside a working endpoint of another tenant,
// and so do broken ones: whoever works has each mail at once.
func TestNeighboursKeepNobodyWaiting(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{}, func(w *fakeWorld) {
		s := share(w)
		works := tenantUser("works")
		s.put(works, subscribed("works", gateway))
		for n := range 40 {
			s.beside("never consented", n)
		}
		for n := range 5 {
			s.beside("broken", n)
		}
		for mails := range uint32(12) {
			pass(5 * time.Minute)
			s.deliverMail(works, 1)
			s.within(10*time.Second, "works", 11+mails)
		}
		if asked := len(w.pings); asked > 40*25 {
			s.t.Errorf("%d pings within an hour of 40 that do not consent", asked)
		}
	})
}

// An endpoint with no history, and mail that is younger than all others', is served within
// two cool-downs after its origin answers, whatever lies beside it.
func TestAWorkingEndpointIsServedWithinTwoCoolDowns(t *testing.T) {
	t.Parallel()
	var kinds []string
	for kind := range neighbours() {
		kinds = append(kinds, kind)
	}
	kinds = append(kinds, "never consented")
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(seed, 13)) // seeded: a failure can be seen again
			inWorld(t, deliver.Config{}, func(w *fakeWorld) {
				s := share(w)
				if seed%3 == 0 {
					s.ill = true // a gateway that says 503 for all of them
				} else {
					s.isDown = true
				}
				for n := range 3 { // with fewer each has its own back-off, and no breaker
					s.beside(kinds[random.IntN(len(kinds)-1)], n)
				}
				for n := range random.IntN(58) {
					s.beside(kinds[random.IntN(len(kinds))], 3+n)
				}
				works := tenantUser("works")
				s.put(works, subscribed("works", gateway))
				pass(time.Second)
				s.deliverMail(works, 1)
				outage := time.Duration(1+random.IntN(3600)) * time.Second
				pass(outage)
				w.set(func(*fakeWorld) { s.isDown, s.ill = false, false })
				// The second cool-down is of an outage that has lasted for longer.
				coolDown := min(max(outage/8, 5*time.Second), 5*time.Minute)
				const looks = 35 * time.Second // what they take themselves, with some that hang
				took := s.within(min(coolDown*17/8, 10*time.Minute)+looks, "works", 11)
				t.Logf("down for %s, served after %s", outage, took)
			})
		})
	}
}

// 401 and the like of some are their own, and so is that some never consent, or are alone:
// however long it goes on, it opens no breaker, and nobody else waits.
func TestWhatIsAnEndpointsOwnOpensNoBreaker(t *testing.T) {
	t.Parallel()
	for kind, count := range map[string]int{
		"locked": 60, "missing": 60, "redirecting": 60, "busy": 60, "refused here": 60, "never consented": 60, "broken": 2, "hanging": 2,
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			metrics := prometheus.NewRegistry()
			inWorld(t, deliver.Config{Metrics: metrics}, func(w *fakeWorld) {
				s := share(w)
				works := tenantUser("works")
				s.put(works, subscribed("works", gateway))
				for n := range count {
					s.beside(kind, n)
				}
				pass(time.Hour)
				if err := testutil.GatherAndCompare(metrics, strings.NewReader(`
# HELP mailpush_worker_origin_breakers Origins of endpoints, by what their breaker lets through.
# TYPE mailpush_worker_origin_breakers gauge
mailpush_worker_origin_breakers{state="closed"} 1
mailpush_worker_origin_breakers{state="half_open"} 0
mailpush_worker_origin_breakers{state="open"} 0
`), "mailpush_worker_origin_breakers"); err != nil {
					t.Error(err)
				}
				s.deliverMail(works, 1)
				s.within(2*time.Second, "works", 11)
			})
		})
	}
}

// waits expects a subscription of a user to wait for its origin.
func (s *sharedOrigin) waits(u mailbox.User, subscription, reason string) {
	s.t.Helper()
	statuses, err := s.loop.Status(s.t.Context(), []mailbox.User{u})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, status := range statuses {
		if status.Subscription == subscription {
			if status.State != pump.AwaitsOrigin || !strings.Contains(status.LastError, reason) || status.NextTry.IsZero() {
				s.t.Errorf("the state is %+v, want one that waits for its origin because of %q", status, reason)
			}
			return
		}
	}
	s.t.Errorf("%s has no status", subscription)
}

// breaks has the origin be out of order, and all of its neighbours wait.
func (s *sharedOrigin) breaks() {
	s.isDown = true
	for n := range 30 {
		s.beside("broken", n)
	}
	pass(time.Minute)
}

// What waits for its origin says so, from the first moment on.
func TestWhatWaitsForItsOriginSaysSo(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{}, func(w *fakeWorld) {
		s := share(w)
		s.breaks()
		works := tenantUser("works")
		s.put(works, subscribed("works", gateway))
		pass(10 * time.Millisecond)
		s.deliverMail(works, 1)
		pass(10 * time.Millisecond)
		s.waits(works, "works", "connection refused")
		w.set(func(*fakeWorld) { s.isDown = false })
		s.within(30*time.Second, "works", 11)
		statuses, err := w.loop.Status(w.t.Context(), []mailbox.User{works})
		if err != nil || len(statuses) != 1 || statuses[0].State == pump.AwaitsOrigin || statuses[0].LastError != "" {
			t.Errorf("the state is %+v, %v", statuses, err)
		}
	})
}

// Whoever is enabled is tried at once, whatever is known of the origin; if it is accepted,
// the origin works and all others follow.
func TestWhoIsEnabledIsTriedAtOnce(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]func(s *sharedOrigin, u mailbox.User){
		"it waits for its origin": func(s *sharedOrigin, u mailbox.User) { s.put(u, subscribed("works", gateway)); s.deliverMail(u, 1) },
		"it was disabled":         func(s *sharedOrigin, u mailbox.User) { s.put(u); s.deliverMail(u, 1) },
		"it has to be asked": func(s *sharedOrigin, u mailbox.User) {
			s.put(u, unconfirmed("works", gateway))
			s.deliverMail(u, 1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, deliver.Config{}, func(w *fakeWorld) {
				s := share(w)
				s.isDown = true
				u := tenantUser("works")
				s.put(u)
				pass(time.Second)
				before(s, u)
				s.breaks()
				pass(time.Hour)
				w.set(func(w *fakeWorld) { s.isDown, w.consent = false, nil })
				enabled := subscribed("works", gateway)
				enabled.Revision = 7
				if name == "it has to be asked" {
					enabled.Confirmed = false
				}
				s.put(u, enabled)
				s.within(time.Second, "works", 11)
				s.deliverMail(u, 1)
				s.within(5*time.Second, "works", 12)
			})
		})
	}
}

// Who is enabled at an origin that still fails has been tried once, and waits again.
func TestWhoIsEnabledIsTriedOnce(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{}, func(w *fakeWorld) {
		s := share(w)
		s.breaks()
		u := tenantUser("works")
		s.put(u, subscribed("works", gateway))
		s.deliverMail(u, 1)
		pass(time.Hour)
		tries := func() int { return len(w.sent()["works"]) }
		before := tries()
		enabled := subscribed("works", gateway)
		enabled.Revision = 7
		s.put(u, enabled)
		pass(time.Second)
		if got := tries() - before; got != 1 {
			t.Errorf("%d tries, want one", got)
		}
		pass(time.Second)
		s.waits(u, "works", "connection refused")
	})
}

// An origin that is down for a while is told to whoever could not reach it as soon as it
// answers anybody, though its breaker has not opened.
func TestWhoCouldNotReachTheOriginHearsThatItAnswers(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{}, func(w *fakeWorld) {
		s := share(w)
		s.isDown = true
		works, broken := tenantUser("works"), s.beside("broken", 1)
		s.put(works, subscribed("works", gateway))
		s.deliverMail(works, 1)
		for len(w.sent()["works"]) < 8 { // by now it stays away for minutes
			pass(time.Second)
		}
		w.set(func(*fakeWorld) { s.isDown = false })
		renewed := subscribed("broken-1", gateway+"broken-1")
		renewed.Revision = 7
		s.put(broken, renewed)
		s.within(4*time.Second, "works", 11)
	})
}
