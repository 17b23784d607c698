// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deliver_test

import (
	"context"
	"testing"
	"time"

	"mailpush.internal/pkg/hold"
	"mailpush.internal/services/listener-worker/internal/deliver"
	"mailpush.internal/services/listener-worker/internal/transport"
)

// answering has endpoints give the same answer to every push, until it is changed.
func (w *fakeWorld) answering(result transport.Result) {
	w.set(func(w *fakeWorld) {
		w.answer = func(context.Context, transport.Push) transport.Result { return result }
	})
}

func notFound() transport.Result {
	return transport.Result{Class: transport.Gone, Detail: "the endpoint answered 404"}
}

// last is the report that was told last; the zero one when none was.
func (w *fakeWorld) last() deliver.EndpointReport {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.reports) == 0 {
		return deliver.EndpointReport{}
	}
	return w.reports[len(w.reports)-1]
}

// A proxy that answers 404 while it is deployed costs nobody anything but the wait.
func TestShort404EndsNothing(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{}, func(w *fakeWorld) {
		w.verdict = func(report deliver.EndpointReport) deliver.Verdict {
			if report.Outcome == deliver.Gone {
				return deliver.Disabled
			}
			return deliver.Kept
		}
		w.answering(notFound())
		for n := range 60 {
			w.put(user(n), subscribed(user(n).ID, "https://a.example/"+user(n).ID))
			w.deliverMail(user(n), 1)
		}
		pass(3 * time.Second)
		w.answering(transport.Result{})
		pass(time.Minute)
		for n := range 60 {
			if w.stored(user(n).ID) != 11 {
				w.t.Errorf("user %d is at %d", n, w.stored(user(n).ID))
			}
		}
		if last := w.last(); last.Outcome != deliver.Healthy {
			w.t.Errorf("told last: %+v", last)
		}
	})
}

// A day of 404 is believed although no worker has seen all of it.
func TestAbsenceIsBelievedAcrossOwners(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{}, func(w *fakeWorld) {
		w.answering(notFound())
		sub := subscribed("a", "https://a.example/")
		w.put(user(1), sub)
		w.deliverMail(user(1), 1)
		for range 4 { // owners, each for five hours
			pass(5 * time.Hour)
			told := w.last()
			if told.Outcome == deliver.Gone {
				w.t.Error("gone too early")
			}
			w.loop.Drop([]hold.Claim{claim()})
			next := *sub
			next.FailingSince, next.AbsentSince, next.AbsentSeen = told.Since.UnixNano(), told.Absence.Since.UnixNano(), told.Absence.Last.UnixNano()
			w.put(user(1), &next)
			pass(0)
		}
		pass(3 * time.Hour)
		if told := w.last(); told.Outcome == deliver.Gone {
			w.t.Errorf("gone within a day: %+v", told)
		}
		pass(3 * time.Hour)
		if told := w.last(); told.Outcome != deliver.Gone {
			w.t.Errorf("told last: %+v", told)
		}
	})
}

// That an endpoint is gone must not be said any more once it has said something else, even
// if nobody could be told in between.
func TestWordThatAnEndpointIsGoneIsTakenBack(t *testing.T) {
	t.Parallel()
	for name, after := range map[string]transport.Result{
		"it accepts":            {},
		"it fails in other way": {Class: transport.Retry, Detail: "503"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, deliver.Config{}, func(w *fakeWorld) {
				w.answering(transport.Result{Class: transport.Gone, Final: true})
				w.put(user(1), subscribed("a", "https://a.example/"))
				w.set(func(w *fakeWorld) { w.tellErr = errDown })
				w.deliverMail(user(1), 1)
				pass(time.Hour)
				w.answering(after)
				pass(2 * time.Hour)
				w.set(func(w *fakeWorld) { w.tellErr = nil })
				pass(time.Hour)
				for _, report := range w.reports {
					if report.Outcome == deliver.Gone || !report.Absence.Since.IsZero() {
						w.t.Errorf("told %+v", report)
					}
				}
				if len(w.reports) == 0 {
					w.t.Error("nothing was told")
				}
			})
		})
	}
}

// A worker that stops in good order leaves no evidence behind that has been refuted.
func TestDrainTellsWhatEndpointsHaveComeTo(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{}, func(w *fakeWorld) {
		release := make(chan struct{})
		w.answering(notFound())
		w.put(user(1), subscribed("a", "https://a.example/"))
		w.deliverMail(user(1), 1)
		pass(time.Minute)
		w.set(func(w *fakeWorld) {
			w.answer = func(context.Context, transport.Push) transport.Result {
				<-release
				return transport.Result{}
			}
		})
		pass(time.Hour) // the next try is out
		drained := make(chan error)
		go func() { drained <- w.loop.Drain(w.t.Context(), []hold.Claim{claim()}) }()
		pass(time.Second)
		close(release)
		if err := <-drained; err != nil {
			w.t.Error(err)
		}
		if told := w.last(); told.Outcome != deliver.Healthy {
			w.t.Errorf("told last: %+v", told)
		}
	})
}
