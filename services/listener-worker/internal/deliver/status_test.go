// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deliver_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"mailpush.internal/pkg/hold"
	"mailpush.internal/services/listener-worker/internal/deliver"
	"mailpush.internal/services/listener-worker/internal/deliver/pump"
	"mailpush.internal/services/listener-worker/internal/mailbox"
	"mailpush.internal/services/listener-worker/internal/transport"
)

func users(numbers ...int) []mailbox.User {
	out := make([]mailbox.User, len(numbers))
	for i, n := range numbers {
		out[i] = user(n)
	}
	return out
}

// value is a metric's value, summed over those with the labels that are given as
// name=value.
func value(t *testing.T, from prometheus.Gatherer, name string, labels ...string) float64 {
	t.Helper()
	families, err := from.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum, found := 0.0, false
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			if family.GetName() == name && labelled(metric, labels) {
				sum, found = sum+number(metric), true
			}
		}
	}
	if !found {
		t.Errorf("there is no metric %s%v", name, labels)
	}
	return sum
}

func labelled(metric *dto.Metric, want []string) bool {
	has := make(map[string]bool)
	for _, pair := range metric.GetLabel() {
		has[pair.GetName()+"="+pair.GetValue()] = true
	}
	for _, label := range want {
		if !has[label] {
			return false
		}
	}
	return true
}

func number(metric *dto.Metric) float64 {
	if metric.GetHistogram() != nil {
		return float64(metric.GetHistogram().GetSampleCount())
	}
	return metric.GetCounter().GetValue() + metric.GetGauge().GetValue()
}

func TestStatusShowsLanes(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{}, func(w *fakeWorld) {
		w.answer = func(_ context.Context, push transport.Push) transport.Result {
			if push.Subscription == "bad" {
				return transport.Result{Class: transport.Auth, Detail: "the endpoint answered 401"}
			}
			return transport.Result{}
		}
		noticed := time.Now().Add(time.Second)
		w.put(user(1), subscribed("good", "https://good.example/"), subscribed("bad", "https://bad.example/"))
		w.put(user(2), subscribed("other", "https://good.example/"))
		pass(time.Second)
		w.deliverMail(user(1), 2)
		pass(20 * time.Second)
		got := make(map[string]deliver.Status)
		for _, status := range w.status() {
			got[status.Subscription] = status
		}
		good, bad := got["good"], got["bad"]
		if len(got) != 2 || good.Cursor.UID != 12 || good.Lag != 0 || good.LastError != "" || good.Folder != "INBOX" {
			w.t.Errorf("status %+v", got)
		}
		if bad.State != pump.Backoff || bad.Lag != 2 || bad.Failures != 1 || bad.LastError != "the endpoint answered 401" ||
			!bad.OldestPending.Equal(noticed) || !bad.NextTry.After(time.Now()) {
			w.t.Errorf("status %+v", bad)
		}
	})
}

func TestStatusOfManyUsers(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{}, func(w *fakeWorld) {
		var all []int
		for n := range 1200 {
			w.put(user(n), subscribed(fmt.Sprint(n), "https://a.example/"))
			all = append(all, n)
		}
		out, err := w.loop.Status(w.t.Context(), users(append(all, 5000)...))
		if err != nil || len(out) != 1200 {
			w.t.Errorf("%d of 1200: %v", len(out), err)
		}
	})
}

func TestStatusEndsWithTheLoopOrTheCaller(t *testing.T) {
	t.Parallel()
	w := &fakeWorld{}
	loop := deliver.New(deliver.Config{}, transport.Table{transport.Webhook: w}, w, w, w)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := loop.Status(ctx, users(1)); err == nil {
		t.Error("status without a loop, for nobody")
	}
	if err := loop.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := loop.Status(t.Context(), users(1)); err == nil {
		t.Error("status of a loop that has ended")
	}
}

func TestTestPush(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{}, func(w *fakeWorld) {
		result := w.loop.Test(w.t.Context(), user(1), rotated(time.Now().Add(time.Hour)))
		if result.Class != transport.OK || len(w.tests) != 1 {
			w.t.Fatalf("%+v after %d test pushes", result, len(w.tests))
		}
		test := w.tests[0]
		if test.Secret.Reveal() != "key 1 other" || test.Target.Address != "https://a.example/" || test.User != user(1) || test.Subscription != "a" {
			w.t.Errorf("test push %+v", test)
		}
		w.set(func(w *fakeWorld) { w.open = func(context.Context, mailbox.User, int) error { return errDown } })
		if result := w.loop.Test(w.t.Context(), user(1), subscribed("a", "https://a.example/")); result.Class != transport.Retry || len(w.tests) != 1 {
			w.t.Errorf("%+v without a vault", result)
		}
	})
}

func TestGaugesShowTheBacklog(t *testing.T) {
	t.Parallel()
	metrics := prometheus.NewRegistry()
	inWorld(t, deliver.Config{Metrics: metrics}, func(w *fakeWorld) {
		show := func() map[string]float64 {
			return map[string]float64{
				"age":  value(w.t, metrics, "mailpush_worker_oldest_undelivered_seconds"),
				"lag":  value(w.t, metrics, "mailpush_worker_cursor_lag_uids"),
				"max":  value(w.t, metrics, "mailpush_worker_cursor_lag_max_uids"),
				"late": value(w.t, metrics, "mailpush_worker_subscriptions_late"),
			}
		}
		w.answer = func(context.Context, transport.Push) transport.Result { return transport.Result{Class: transport.Auth} }
		w.put(user(1), subscribed("a", "https://a.example/"))
		w.put(user(2), subscribed("b", "https://b.example/"))
		w.deliverMail(user(1), 2)
		pass(time.Minute)
		w.deliverMail(user(2), 3)
		pass(time.Minute)
		if diff := cmp.Diff(map[string]float64{"age": 120, "lag": 5, "max": 3, "late": 0}, show()); diff != "" {
			w.t.Errorf("gauges (-want +got):\n%s", diff)
		}
		w.set(func(w *fakeWorld) { w.answer = nil })
		pass(time.Hour)
		if diff := cmp.Diff(map[string]float64{"age": 0, "lag": 0, "max": 0, "late": 0}, show()); diff != "" {
			w.t.Errorf("gauges at the end (-want +got):\n%s", diff)
		}
	})
}

// A subscription is late when a mail has waited for five minutes, also while nothing else
// happens, and unless its endpoint has never said that it wants pushes.
func TestLateSubscriptionsAreCounted(t *testing.T) {
	t.Parallel()
	metrics := prometheus.NewRegistry()
	inWorld(t, deliver.Config{Metrics: metrics}, func(w *fakeWorld) {
		expect := func(when string, want float64) {
			w.t.Helper()
			if got := value(w.t, metrics, "mailpush_worker_subscriptions_late"); got != want {
				w.t.Errorf("%s: %v are late, want %v", when, got, want)
			}
		}
		w.answer = func(context.Context, transport.Push) transport.Result {
			return transport.Result{Class: transport.Retry}
		}
		w.consent = func() transport.Result { return transport.Result{Class: transport.Retry} }
		never := subscribed("never asked for pushes", "https://b.example/")
		never.Confirmed = false
		w.put(user(1), subscribed("a", "https://a.example/"))
		w.put(user(2), never)
		w.deliverMail(user(1), 2)
		w.deliverMail(user(2), 2)
		pass(4 * time.Minute)
		expect("after four minutes", 0)
		pass(2 * time.Minute)
		expect("after six", 1)
		w.set(func(w *fakeWorld) { w.answer, w.consent = nil, nil })
		pass(time.Hour)
		expect("when all is delivered", 0)
	})
}

func TestMetricsOfDelivery(t *testing.T) {
	t.Parallel()
	metrics := prometheus.NewRegistry()
	inWorld(t, deliver.Config{Metrics: metrics}, func(w *fakeWorld) {
		w.answer = func(_ context.Context, push transport.Push) transport.Result {
			if push.Target.Address == "https://bad.example/" {
				return transport.Result{Class: transport.Retry}
			}
			return transport.Result{}
		}
		for n := range 20 {
			w.put(user(n), subscribed(fmt.Sprint(n), "https://bad.example/"))
			w.deliverMail(user(n), 1)
		}
		w.put(user(20), unconfirmed("good", "https://good.example/"))
		w.deliverMail(user(20), 1)
		pass(time.Second)
		for _, c := range []struct {
			want   float64
			name   string
			labels []string
		}{
			{1, "mailpush_worker_pings_total", []string{"class=ok"}},
			{1, "mailpush_worker_deliveries_total", []string{"class=ok", "transport=webhook"}},
			{20, "mailpush_worker_deliveries_total", []string{"class=retry", "transport=webhook"}},
			{1, "mailpush_worker_noticed_to_accepted_seconds", []string{"transport=webhook"}},
			{1, "mailpush_worker_origin_breakers", []string{"state=open"}},
			{1, "mailpush_worker_origin_breakers", []string{"state=closed"}},
			{0, "mailpush_worker_origin_breakers", []string{"state=half_open"}},
		} {
			if got := value(w.t, metrics, c.name, c.labels...); got != c.want {
				w.t.Errorf("%s%v is %v, want %v", c.name, c.labels, got, c.want)
			}
		}
		w.loop.Drop([]hold.Claim{claim()})
		for _, after := range []time.Duration{time.Second, time.Minute} { // a cool-down
			pass(after)
			for _, state := range []string{"state=open", "state=closed", "state=half_open"} {
				if got := value(w.t, metrics, "mailpush_worker_origin_breakers", state); got != 0 {
					w.t.Errorf("%v origins are still counted as %s", got, state)
				}
			}
		}
	})
}
