// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deliver_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mailpush.internal/pkg/hold"
	"mailpush.internal/services/listener-worker/internal/deliver"
	"mailpush.internal/services/listener-worker/internal/transport"
)

// unconfirmed is a subscription whose endpoint has not said that it wants pushes.
func unconfirmed(id, url string) *transport.Subscription {
	out := subscribed(id, url)
	out.Confirmed, out.Revision = false, 5
	return out
}

func TestEndpointIsAskedBeforeItsFirstPush(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{}, func(w *fakeWorld) {
		w.consent = func() transport.Result { return transport.Result{Class: transport.Retry} }
		w.put(user(1), unconfirmed("a", "https://a.example/"))
		w.deliverMail(user(1), 1)
		pass(time.Second)
		if len(w.pings) == 0 || len(w.pushes) != 0 {
			w.t.Fatalf("%d pings, %d pushes without consent", len(w.pings), len(w.pushes))
		}
		if ping := w.pings[0]; ping.Secret.IsZero() || ping.Target.Address != "https://a.example/" || ping.Subscription != "a" {
			w.t.Errorf("ping %+v", ping)
		}
		w.set(func(w *fakeWorld) { w.consent = nil })
		pass(time.Minute)
		if diff := cmp.Diff(map[string][]uint32{"a": {11}}, w.sent()); diff != "" || w.stored("a") != 11 {
			w.t.Errorf("cursor %d; sent (-want +got):\n%s", w.stored("a"), diff)
		}
		want := []deliver.EndpointReport{{Claim: claim(), User: user(1), Subscription: "a", Revision: 5, Outcome: deliver.Confirmed}}
		if diff := cmp.Diff(want, w.reports); diff != "" {
			w.t.Errorf("reports (-want +got):\n%s", diff)
		}
	})
}

func TestPingInDoubtIsPrecededByItsQuestion(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{}, func(w *fakeWorld) {
		w.set(func(w *fakeWorld) { w.doubtful, w.refuse = true, []hold.Claim{claim()} })
		w.put(user(1), unconfirmed("a", "https://a.example/"))
		pass(time.Minute)
		if len(w.pings) != 0 || w.asked != 1 || len(w.refused) != 1 {
			w.t.Errorf("%d pings, %d questions, refused %v", len(w.pings), w.asked, w.refused)
		}
	})
}

func TestPingIsAwaitedByADrain(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{}, func(w *fakeWorld) {
		w.consent = func() transport.Result {
			w.mu.Unlock()
			<-time.After(3 * time.Second)
			w.mu.Lock()
			return transport.Result{}
		}
		w.put(user(1), unconfirmed("a", "https://a.example/"))
		w.deliverMail(user(1), 1)
		pass(time.Second)
		began := time.Now()
		if err := w.loop.Drain(w.t.Context(), []hold.Claim{claim()}); err != nil || time.Since(began) != 2*time.Second {
			w.t.Errorf("drained after %v: %v", time.Since(began), err)
		}
		pass(time.Minute)
		if len(w.pushes) != 0 || len(w.reports) != 1 {
			w.t.Errorf("%d pushes, reports %v", len(w.pushes), w.reports)
		}
	})
}

func TestConfirmedByTheRegistryNeedsNoPing(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{}, func(w *fakeWorld) {
		w.consent = func() transport.Result { return transport.Result{Class: transport.Gone} }
		w.put(user(1), unconfirmed("a", "https://a.example/"))
		pass(time.Second)
		confirmed := unconfirmed("a", "https://a.example/")
		confirmed.Confirmed = true
		w.put(user(1), confirmed)
		w.deliverMail(user(1), 1)
		pass(time.Second)
		if w.stored("a") != 11 || len(w.pings) != 1 {
			w.t.Errorf("cursor %d after %d pings", w.stored("a"), len(w.pings))
		}
	})
}
