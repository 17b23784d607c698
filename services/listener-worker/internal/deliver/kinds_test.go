// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deliver_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"mailpush.internal/services/listener-worker/internal/deliver"
	"mailpush.internal/services/listener-worker/internal/mailbox"
	"mailpush.internal/services/listener-worker/internal/transport"
)

const tube transport.Kind = "tube"

// fakeTube is a transport that differs from webhooks in all a transport can say of
// itself: its endpoints are not asked, its pushes are not signed, and what fails together
// is the part of an address in front of a slash.
type fakeTube struct {
	mu     sync.Mutex
	pushes []transport.Push
	answer func(push transport.Push) transport.Result // nil: OK
}

func (f *fakeTube) Asks() bool  { return false }
func (f *fakeTube) Signs() bool { return false }

func (f *fakeTube) Origin(target transport.Target) string {
	station, _, _ := strings.Cut(target.Address, "/")
	return station
}

func (f *fakeTube) Send(_ context.Context, push transport.Push) transport.Result {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pushes = append(f.pushes, push)
	if f.answer != nil {
		return f.answer(push)
	}
	return transport.Result{}
}

// got is what arrived, as "address purpose UIDs".
func (f *fakeTube) got() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []string
	for _, push := range f.pushes {
		line := fmt.Sprint(push.Target.Address, " ", push.Purpose)
		for _, mail := range push.Batch.Mails {
			line += fmt.Sprint(" ", mail.UID)
		}
		out = append(out, line)
	}
	return out
}

// requests counts what was sent to addresses that begin so.
func (f *fakeTube) requests(prefix string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(slices.DeleteFunc(slices.Clone(f.pushes), func(push transport.Push) bool {
		return !strings.HasPrefix(push.Target.Address, prefix)
	}))
}

// through is a subscription of a kind of transport, whose endpoint has never been asked
// and whose cursor is at UID 10.
func through(kind transport.Kind, id, address string) *transport.Subscription {
	return &transport.Subscription{
		ID: id, Target: transport.Target{Kind: kind, Address: address},
		Cursors: []transport.Cursor{{Folder: "INBOX", Cursor: mailbox.Cursor{UIDValidity: 7, UID: 10}}},
	}
}

// inTwoKinds runs a test in a world with a second kind of transport beside webhooks.
func inTwoKinds(t *testing.T, metrics prometheus.Registerer, test func(w *fakeWorld, f *fakeTube)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w, f := &fakeWorld{t: t, next: make(map[mailbox.User]uint32)}, &fakeTube{}
		cfg := deliver.Config{Metrics: metrics}
		cfg.Policy.Random = func() float64 { return 1 }
		w.loop = deliver.New(cfg, transport.Table{transport.Webhook: w, tube: f}, w, w, w)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- w.loop.Run(ctx) }()
		test(w, f)
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		synctest.Wait()
	})
}

// The kind of a target picks the transport, and what the transport says of itself decides
// whether an endpoint is asked first and whether a secret is opened.
func TestTheKindOfATargetPicksTheTransport(t *testing.T) {
	t.Parallel()
	metrics := prometheus.NewRegistry()
	inTwoKinds(t, metrics, func(w *fakeWorld, f *fakeTube) {
		w.put(user(1), subscribed("a", "https://a.example/"), through(tube, "b", "north/7"))
		w.deliverMail(user(1), 2)
		pass(time.Minute)
		if diff := cmp.Diff([]string{"north/7 0 11 12"}, f.got()); diff != "" {
			w.t.Errorf("through the tube (-want +got):\n%s", diff)
		}
		if got := w.sent(); !slices.Equal(got["a"], []uint32{11, 12}) || len(got) != 1 {
			w.t.Errorf("by webhook: %v", got)
		}
		if w.opened != 1 || len(w.pings) != 0 {
			w.t.Errorf("%d secrets opened, %d asked, want one for the webhook and none", w.opened, len(w.pings))
		}
		if a, b := w.stored("a"), w.stored("b"); a != 12 || b != 12 {
			w.t.Errorf("cursors at %d and %d, want 12", a, b)
		}
		if result := w.loop.Test(w.t.Context(), user(1), through(tube, "b", "north/7")); result.Class != transport.OK || w.opened != 1 {
			w.t.Errorf("the test push: %+v, %d secrets opened", result, w.opened)
		}
	})
	if err := testutil.GatherAndCompare(metrics, strings.NewReader(`
# HELP mailpush_worker_deliveries_total Requests to endpoints, by what the answer means.
# TYPE mailpush_worker_deliveries_total counter
mailpush_worker_deliveries_total{class="auth",transport="tube"} 0
mailpush_worker_deliveries_total{class="auth",transport="webhook"} 0
mailpush_worker_deliveries_total{class="gone",transport="tube"} 0
mailpush_worker_deliveries_total{class="gone",transport="webhook"} 0
mailpush_worker_deliveries_total{class="misconfigured",transport="tube"} 0
mailpush_worker_deliveries_total{class="misconfigured",transport="webhook"} 0
mailpush_worker_deliveries_total{class="ok",transport="tube"} 1
mailpush_worker_deliveries_total{class="ok",transport="webhook"} 1
mailpush_worker_deliveries_total{class="permanent_item",transport="tube"} 0
mailpush_worker_deliveries_total{class="permanent_item",transport="webhook"} 0
mailpush_worker_deliveries_total{class="retry",transport="tube"} 0
mailpush_worker_deliveries_total{class="retry",transport="webhook"} 0
`), "mailpush_worker_deliveries_total"); err != nil {
		t.Error(err)
	}
}

// What fails together is the transport's to say: one station that fails is left alone, for
// all its endpoints, and neither another station nor a webhook of the same name is.
func TestTheOriginRuleIsTheTransports(t *testing.T) {
	t.Parallel()
	inTwoKinds(t, nil, func(w *fakeWorld, f *fakeTube) {
		f.answer = func(push transport.Push) transport.Result {
			if strings.HasPrefix(push.Target.Address, "north/") {
				return transport.Result{Class: transport.Retry, Unanswered: true, Detail: "stuck"}
			}
			return transport.Result{}
		}
		const many = 30
		for n := range many {
			w.put(user(n), through(tube, fmt.Sprint("n", n), fmt.Sprint("north/", n)))
		}
		w.put(user(many), through(tube, "s", "south/1"), subscribed("a", "https://north/"))
		for n := range many + 1 {
			w.deliverMail(user(n), 1)
		}
		pass(time.Minute)
		before := f.requests("north/")
		w.deliverMail(user(many), 1)
		pass(10 * time.Minute)
		if probes := f.requests("north/") - before; probes < 1 || probes > 10*many {
			w.t.Errorf("%d requests to a station that fails within ten minutes, want a probe of each now and then", probes)
		}
		if s, a := w.stored("s"), w.stored("a"); s != 12 || a != 12 {
			w.t.Errorf("cursors at %d and %d, want 12: what works was held up", s, a)
		}
	})
}

// A subscription may change its kind, and one that this worker cannot serve waits at its
// cursor, without holding up the others.
func TestAKindThisWorkerLacksWaitsAtItsCursor(t *testing.T) {
	t.Parallel()
	inTwoKinds(t, nil, func(w *fakeWorld, f *fakeTube) {
		w.put(user(1), through("pigeon", "a", "loft"), through(tube, "b", "north/7"))
		w.deliverMail(user(1), 1)
		pass(time.Minute)
		if a, b := w.stored("a"), w.stored("b"); a != 0 || b != 11 {
			w.t.Errorf("cursors at %d and %d, want none and 11", a, b)
		}
		if result := w.loop.Test(w.t.Context(), user(1), through("pigeon", "a", "loft")); result.Class != transport.Misconfigured {
			w.t.Errorf("the test push of an unknown kind: %+v", result)
		}
		w.put(user(1), through(tube, "a", "north/8"), through("pigeon", "b", "loft"))
		w.deliverMail(user(1), 1)
		pass(time.Minute)
		if a, b := w.stored("a"), w.stored("b"); a != 12 || b != 11 {
			w.t.Errorf("cursors at %d and %d, want 12 and 11 after they have changed places", a, b)
		}
		if diff := cmp.Diff([]string{"north/7 0 11", "north/8 0 11 12"}, f.got()); diff != "" {
			w.t.Errorf("through the tube (-want +got):\n%s", diff)
		}
	})
}
