// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deliver_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"mailpush.internal/pkg/hold"
	"mailpush.internal/services/listener-worker/internal/deliver"
	"mailpush.internal/services/listener-worker/internal/deliver/pump"
	"mailpush.internal/services/listener-worker/internal/transport"
)

// goneWorld has one user with two endpoints, of which the first says it is gone, for long
// enough to be believed.
func goneWorld(t *testing.T, verdict deliver.Verdict, test func(w *fakeWorld, metrics *prometheus.Registry)) {
	t.Helper()
	metrics := prometheus.NewRegistry()
	inWorld(t, deliver.Config{Metrics: metrics}, func(w *fakeWorld) {
		w.answer = func(_ context.Context, push transport.Push) transport.Result {
			if push.Subscription == "gone" {
				return transport.Result{Class: transport.Gone, Final: true, Detail: "the endpoint answered 410"}
			}
			return transport.Result{}
		}
		w.verdict = func(report deliver.EndpointReport) deliver.Verdict {
			if report.Outcome == deliver.Gone {
				return verdict
			}
			return deliver.Kept
		}
		gone := subscribed("gone", "https://gone.example/")
		gone.Revision = 3
		w.put(user(1), gone, subscribed("stays", "https://stays.example/"))
		w.deliverMail(user(1), 1)
		pass(10 * time.Minute)
		test(w, metrics)
	})
}

// status is what the loop shows of user 1.
func (w *fakeWorld) status() []deliver.Status {
	w.t.Helper()
	out, err := w.loop.Status(w.t.Context(), users(1))
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

func TestGoneIsReportedUnderItsClaimAndRevision(t *testing.T) {
	t.Parallel()
	goneWorld(t, deliver.Kept, func(w *fakeWorld, metrics *prometheus.Registry) {
		if len(w.reports) != 2 {
			w.t.Fatalf("reports %+v", w.reports)
		}
		first := w.reports[0]
		if first.Outcome != deliver.Failing || first.Absence.Since.IsZero() || first.Absence != (pump.Absence{Since: first.Since, Last: first.Since}) {
			w.t.Errorf("at first %+v", first)
		}
		want := deliver.EndpointReport{
			Claim: claim(), User: user(1), Subscription: "gone", Revision: 3, Outcome: deliver.Gone,
			Reason: "the endpoint answered 410, and so it has since " + first.Since.UTC().Format(time.RFC3339),
		}
		if w.reports[1] != want {
			w.t.Errorf("report %+v, want %+v", w.reports[1], want)
		}
		if suspected, proven := value(w.t, metrics, "mailpush_worker_gone_total", "step=suspected"), value(w.t, metrics, "mailpush_worker_gone_total", "step=proven"); suspected != 1 || proven != 1 {
			w.t.Errorf("%v were suspected, %v proven", suspected, proven)
		}
		if len(w.status()) != 2 {
			w.t.Errorf("status %+v: a subscription was ended by the worker", w.status())
		}
	})
}

func TestDeletedSubscriptionEndsAtOnce(t *testing.T) {
	t.Parallel()
	for name, verdict := range map[string]deliver.Verdict{"deleted": deliver.Deleted, "disabled": deliver.Disabled} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			goneWorld(t, verdict, func(w *fakeWorld, _ *prometheus.Registry) {
				if status := w.status(); len(status) != 1 || status[0].Subscription != "stays" {
					w.t.Errorf("status %+v", status)
				}
				w.deliverMail(user(1), 1)
				pass(24 * time.Hour)
				if got := w.sent(); len(got["gone"]) != 2 || len(got["stays"]) != 2 {
					w.t.Errorf("sent %v", got)
				}
				if len(w.reports) != 2 {
					w.t.Errorf("reports %+v", w.reports)
				}
			})
		})
	}
}

func TestHeldSubscriptionGoesOnBackingOff(t *testing.T) {
	t.Parallel()
	goneWorld(t, deliver.Held, func(w *fakeWorld, metrics *prometheus.Registry) {
		pass(24 * time.Hour)
		tries := len(w.sent()["gone"])
		if tries < 5 || tries > 60 || len(w.status()) != 2 {
			w.t.Errorf("%d tries in a day, status %+v", tries, w.status())
		}
		if held := value(w.t, metrics, "mailpush_worker_gone_held_total"); held < 1 {
			w.t.Errorf("%v were held", held)
		}
	})
}

// The subscription was replaced while the report was on its way.
func TestVerdictOnAnOlderRevisionIsNotHeeded(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{}, func(w *fakeWorld) {
		w.answer = func(_ context.Context, push transport.Push) transport.Result {
			if push.Target.Address == "https://old.example/" {
				return transport.Result{Class: transport.Gone, Final: true}
			}
			return transport.Result{}
		}
		renewed := subscribed("a", "https://new.example/")
		renewed.Revision = 4
		w.verdict = func(report deliver.EndpointReport) deliver.Verdict {
			if report.Outcome != deliver.Gone {
				return deliver.Kept
			}
			w.loop.Put(claim(), user(1), "mail", subscriptions(renewed))
			return deliver.Deleted
		}
		old := subscribed("a", "https://old.example/")
		old.Revision = 3
		w.put(user(1), old)
		w.deliverMail(user(1), 1)
		pass(10 * time.Minute)
		if w.stored("a") != 11 {
			w.t.Errorf("the cursor is at %d", w.stored("a"))
		}
	})
}

func TestReportsWaitForARegistryThatIsAway(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{}, func(w *fakeWorld) {
		w.set(func(w *fakeWorld) { w.tellErr = errDown })
		const users = 2500
		for n := range users {
			w.put(user(n), unconfirmed(fmt.Sprint(n), "https://a.example/"))
		}
		pass(time.Minute)
		w.set(func(w *fakeWorld) { w.tellErr = nil })
		pass(time.Minute)
		told := make(map[string]int)
		for _, report := range w.reports {
			told[report.Subscription]++
		}
		if len(told) != users || len(w.reports) != users {
			w.t.Errorf("%d reports on %d endpoints", len(w.reports), len(told))
		}
		for _, size := range w.groups {
			if size > deliver.MaxReports {
				w.t.Errorf("%d reports in one call", size)
			}
		}
	})
}

func TestNothingIsReportedForADroppedClaim(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{}, func(w *fakeWorld) {
		w.set(func(w *fakeWorld) { w.tellErr = errDown })
		w.put(user(1), unconfirmed("a", "https://a.example/"))
		pass(time.Second)
		w.loop.Drop([]hold.Claim{claim()})
		w.set(func(w *fakeWorld) { w.tellErr = nil })
		pass(time.Minute)
		if len(w.reports) != 0 {
			w.t.Errorf("reports %+v", w.reports)
		}
	})
}
