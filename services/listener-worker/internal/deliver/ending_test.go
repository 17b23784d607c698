// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deliver_test

import (
	"context"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/services/listener-worker/internal/deliver"
	"mailpush.internal/services/listener-worker/internal/mailbox"
	"mailpush.internal/services/listener-worker/internal/transport"
)

// The call returns once the secret is at hand, however long the endpoint takes.
func TestEndpointIsToldThatItsSubscriptionEnds(t *testing.T) {
	t.Parallel()
	metrics := prometheus.NewRegistry()
	inWorld(t, deliver.Config{Metrics: metrics}, func(w *fakeWorld) {
		w.ending = func() transport.Result {
			<-time.After(10 * time.Second) // simulated
			return transport.Result{Class: transport.Gone}
		}
		began := time.Now()
		if err := w.loop.End(w.t.Context(), user(1), subscribed("a", "https://a.example/"), "unsubscribed"); err != nil {
			w.t.Fatal(err)
		}
		if took := time.Since(began); took > time.Second {
			w.t.Errorf("it took %s", took)
		}
		w.set(func(w *fakeWorld) {
			w.open = func(context.Context, mailbox.User, int) error { return fault.New(fault.NotFound, "erased") }
		})
		pass(time.Minute)
		if len(w.endings) != 1 {
			w.t.Fatalf("endings %+v", w.endings)
		}
		push := w.endings[0]
		if push.Subscription != "a" || push.Reason != "unsubscribed" || push.Secret.Reveal() != "key 1" || push.User != user(1) {
			w.t.Errorf("push %+v", push)
		}
		if n := value(w.t, metrics, "mailpush_worker_endings_total", "class=gone"); n != 1 {
			w.t.Errorf("%v were counted", n)
		}
		// What cannot be signed any more is not sent.
		if err := w.loop.End(w.t.Context(), user(1), subscribed("a", "https://a.example/"), "gone"); fault.KindOf(err) != fault.NotFound {
			w.t.Errorf("error %v", err)
		}
		pass(time.Minute)
		if len(w.endings) != 1 {
			w.t.Errorf("endings %+v", w.endings)
		}
	})
}

// Endpoints that hang take up a bounded number of requests, and then others are not told.
func TestEndingsAreBounded(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{}, func(w *fakeWorld) {
		w.ending = func() transport.Result {
			<-time.After(15 * time.Second)
			return transport.Result{Class: transport.Retry}
		}
		refused := 0
		for range 100 {
			if err := w.loop.End(w.t.Context(), user(1), subscribed("a", "https://a.example/"), "unregistered"); err != nil {
				refused++
				if fault.KindOf(err) != fault.Unavailable {
					w.t.Error(err)
				}
			}
		}
		pass(time.Minute)
		if refused != 36 || len(w.endings) != 64 {
			w.t.Errorf("%d refused, %d sent", refused, len(w.endings))
		}
		if err := w.loop.End(w.t.Context(), user(1), subscribed("a", "https://a.example/"), "unregistered"); err != nil {
			w.t.Errorf("when there is room again: %v", err)
		}
		pass(time.Minute)
	})
}
