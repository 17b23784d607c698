// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pump_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/deliver/pump"
	"mailpush.internal/services/listener-worker/internal/mailbox"
	"mailpush.internal/services/listener-worker/internal/transport"
)

func TestConsentComesBeforeTheFirstMail(t *testing.T) {
	t.Parallel()
	p := pump.New(policy(), mailbox.Cursor{UIDValidity: uv, UID: 10}, pump.Options{})
	play(t, p, []step{
		{0, head(11), effects(pump.Ready{})}, // although there is no mail
		{0, pump.Turn{}, effects(pump.Ping{})},
	})
	if !p.InFlight() || p.Status(epoch()).State != pump.Unconfirmed {
		t.Errorf("in flight %v, state %v", p.InFlight(), p.Status(epoch()).State)
	}
	play(t, p, []step{
		{0, head(13), nil},
		{0, pump.Pinged{Result: transport.Result{Class: transport.Gone, Final: true, Detail: "410"}}, effects(pump.Absent{}, missing("410"), pump.Done{}, wait(225*time.Second))},
		{time.Minute, head(14), nil},
		{225 * time.Second, pump.Tick{}, effects(pump.Ready{})},
		{0, pump.Turn{}, effects(pump.Ping{})},
		{0, pump.Pinged{Result: transport.Result{Class: transport.Retry}}, effects(pump.Present{}, pump.Failing{Since: epoch()}, pump.Done{}, wait(2*time.Second))},
		{2 * time.Second, pump.Tick{}, effects(pump.Ready{})},
		{0, pump.Turn{}, effects(pump.Ping{})},
		{0, pump.Pinged{}, effects(pump.Confirmed{}, pump.Healthy{}, pump.Done{}, pump.Ready{})},
		{0, pump.Turn{}, effects(pump.Fetch{From: 11}, wait(patience))},
	})
}

// missing is what is told when an endpoint begins to say that it is not there.
func missing(reason string) pump.Failing {
	return pump.Failing{Since: epoch(), Reason: reason, Absence: pump.Absence{Since: epoch(), Last: epoch()}}
}

func TestReplacedEndpointIsAskedAgain(t *testing.T) {
	t.Parallel()
	play(t, begin(mailv1.Mode_MODE_BATCH), begun(
		step{0, pump.Renewed{}, nil},
		step{0, answer(transport.Retry), effects(pump.Done{}, pump.Ready{})},
		step{0, pump.Turn{}, effects(pump.Ping{})},
		step{0, pump.Renewed{}, nil},
		step{0, pump.Pinged{}, effects(pump.Done{}, pump.Ready{})}, // the one before said so
		step{0, pump.Turn{}, effects(pump.Ping{})},
		step{0, pump.Pinged{}, effects(pump.Confirmed{}, pump.Done{}, pump.Ready{})},
	))
}

// A request that was never made leaves its range free to grow; one that is a repetition
// stays what it was. It says nothing about the endpoint.
func TestPostponedRequestIsMadeInAnotherTurn(t *testing.T) {
	t.Parallel()
	play(t, begin(mailv1.Mode_MODE_BATCH), begun(
		step{0, pump.Postponed{}, effects(pump.Done{}, pump.Ready{})},
		step{0, head(14), nil},
		step{0, pump.Turn{}, effects(pump.Fetch{From: 11}, wait(patience))},
		step{0, fetched(11, 13, 11, 12, 13), effects(batch(1, 11, 13, 11, 12, 13))},
		step{0, answer(transport.Retry), effects(pump.Done{}, wait(time.Second))},
		step{time.Second, pump.Tick{}, effects(pump.Ready{})},
		step{0, head(15), nil},
		step{0, pump.Turn{}, effects(pump.Fetch{From: 11}, wait(patience))},
		step{0, fetched(11, 14, 11, 12, 13, 14), effects(batch(2, 11, 13, 11, 12, 13))},
		step{0, pump.Postponed{}, effects(pump.Done{}, pump.Ready{})},
		step{0, pump.Postponed{}, nil},
		step{0, pump.Turn{}, effects(pump.Fetch{From: 11}, wait(patience))},
		step{0, fetched(11, 14, 11, 12, 13, 14), effects(batch(2, 11, 13, 11, 12, 13))},
		step{0, answer(transport.OK), effects(commit(13), pump.Done{}, pump.Ready{})},
	))
	p := pump.New(policy(), mailbox.Cursor{UIDValidity: uv, UID: 10}, pump.Options{})
	play(t, p, []step{
		{0, head(11), effects(pump.Ready{})},
		{0, pump.Turn{}, effects(pump.Ping{})},
		{0, pump.Postponed{}, effects(pump.Done{}, pump.Ready{})},
		{0, pump.Turn{}, effects(pump.Ping{})},
	})
}

// told runs a pump against an endpoint that fails for a day and returns what was told.
func told(t *testing.T, options pump.Options) []pump.Effect {
	t.Helper()
	w := newWorld(t, pump.New(policy(), mailbox.Cursor{UIDValidity: uv, UID: 10}, options))
	w.answer = func(transport.Batch) transport.Result {
		if w.now.Sub(epoch()) < 24*time.Hour {
			return transport.Result{Class: transport.Retry, Detail: "503"}
		}
		return transport.Result{}
	}
	w.arrive(1)
	w.run(26 * time.Hour)
	w.arrive(1)
	w.run(time.Hour)
	return w.told
}

func TestFailureThatLastsIsToldOnceAnHour(t *testing.T) {
	t.Parallel()
	got := told(t, pump.Options{Confirmed: true})
	if len(got) < 20 || len(got) > 25 {
		t.Fatalf("told %d times in a day", len(got))
	}
	if diff := cmp.Diff(pump.Failing{Since: epoch(), Reason: "503"}, got[0]); diff != "" {
		t.Errorf("first (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(effects(pump.Failing{Since: epoch(), Reason: "503"}, pump.Healthy{}), got[len(got)-2:]); diff != "" {
		t.Errorf("last (-want +got):\n%s", diff)
	}
}

func TestFailureIsRememberedAcrossOwners(t *testing.T) {
	t.Parallel()
	before := epoch().Add(-50 * time.Hour)
	got := told(t, pump.Options{Confirmed: true, FailingSince: before})
	if diff := cmp.Diff(pump.Failing{Since: before, Reason: "503"}, got[0]); diff != "" {
		t.Errorf("first (-want +got):\n%s", diff)
	}
	p := pump.New(policy(), mailbox.Cursor{UIDValidity: uv, UID: 10}, pump.Options{Confirmed: true, FailingSince: before})
	play(t, p, begun(step{0, answer(transport.OK), effects(pump.Healthy{}, commit(12), pump.Done{})}))
}

// Who waits for its turn because nobody can be asked where the endpoint is fails as
// those do that have been tried.
func TestEndpointOfAnOriginThatFailsIsToldOnceAnHour(t *testing.T) {
	t.Parallel()
	p := begin(mailv1.Mode_MODE_BATCH)
	barred := pump.Barred{Reason: "its origin fails: 503"}
	failing := pump.Failing{Since: epoch().Add(time.Minute), Reason: "its origin fails: 503"}
	play(t, p, []step{
		{0, barred, nil}, // it asks for nothing
		{0, head(13), effects(pump.Ready{})},
		{time.Minute, barred, effects(failing)},
		{60 * time.Minute, barred, nil},
		{61 * time.Minute, barred, effects(failing)},
	})
	if s := p.Status(epoch()); s.State != pump.Backoff || s.LastError != barred.Reason || s.Failures != 0 {
		t.Errorf("status %+v", s)
	}
	play(t, p, []step{
		{0, pump.Turn{}, effects(pump.Fetch{From: 11}, wait(patience))},
		{0, barred, nil},
		{0, fetched(11, 12, 11, 12), effects(batch(1, 11, 12, 11, 12))},
		{0, answer(transport.OK), effects(pump.Healthy{}, commit(12), pump.Done{})},
	})
	if s := p.Status(epoch()); s.State != pump.Idle || s.LastError != "" {
		t.Errorf("status %+v", s)
	}
}

// What keeps us from making a request is not the endpoint's failure: it is told nobody,
// and waited for a minute at most.
func TestRequestThatCouldNotBeMadeSaysNothingOfTheEndpoint(t *testing.T) {
	t.Parallel()
	p := begin(mailv1.Mode_MODE_BATCH)
	w := newWorld(t, p)
	w.answer = func(transport.Batch) transport.Result {
		return transport.Result{Class: transport.Retry, Unmade: true, Detail: "the vault is away"}
	}
	w.arrive(1)
	w.run(24 * time.Hour)
	s := p.Status(epoch())
	if len(w.told) > 0 || s.Failures != 0 || s.LastError != "the vault is away" {
		t.Errorf("told %v, status %+v", w.told, s)
	}
	if s.State != pump.Backoff || s.NextTry.After(w.now.Add(time.Minute)) {
		t.Errorf("%v, the next try is in %v", s.State, s.NextTry.Sub(w.now))
	}
	w.answer = nil
	w.arrive(1)
	w.run(time.Minute)
	if s := p.Status(epoch()); s.Cursor.UID != 12 || s.LastError != "" {
		t.Errorf("status %+v", s)
	}
	if last := w.requests[len(w.requests)-1]; last.Attempt != 1 {
		t.Errorf("attempt %d, none was made", last.Attempt)
	}
}

func TestPingThatCouldNotBeMadeSaysNothingOfTheEndpoint(t *testing.T) {
	t.Parallel()
	p := pump.New(policy(), mailbox.Cursor{UIDValidity: uv, UID: 10}, pump.Options{})
	play(t, p, []step{
		{0, head(11), effects(pump.Ready{})},
		{0, pump.Turn{}, effects(pump.Ping{})},
		{0, pump.Pinged{Result: transport.Result{Class: transport.Retry, Unmade: true}}, effects(pump.Done{}, wait(time.Second))},
	})
	if s := p.Status(epoch()); s.Failures != 0 {
		t.Errorf("status %+v", s)
	}
}

func TestShortFailureIsToldNobody(t *testing.T) {
	t.Parallel()
	play(t, begin(mailv1.Mode_MODE_BATCH), begun(
		step{0, answer(transport.Retry), effects(pump.Done{}, wait(time.Second))},
		step{time.Second, pump.Tick{}, effects(pump.Ready{})},
		step{0, pump.Turn{}, effects(pump.Fetch{From: 11}, wait(patience))},
		step{0, fetched(11, 12, 11, 12), effects(batch(2, 11, 12, 11, 12))},
		step{0, answer(transport.OK), effects(commit(12), pump.Done{})},
	))
}

func TestStatus(t *testing.T) {
	t.Parallel()
	p := begin(mailv1.Mode_MODE_BATCH)
	check := func(want pump.Status) {
		t.Helper()
		if diff := cmp.Diff(want, p.Status(epoch())); diff != "" {
			t.Errorf("status (-want +got):\n%s", diff)
		}
	}
	at := mailbox.Cursor{UIDValidity: uv, UID: 10}
	check(pump.Status{Cursor: at})
	play(t, p, begun())
	check(pump.Status{Cursor: at, Lag: 2, OldestPending: epoch(), State: pump.Busy})
	p.Step(pump.Sent{Result: transport.Result{Class: transport.Retry, Detail: "503"}}, epoch())
	check(pump.Status{
		Cursor: at, Lag: 2, OldestPending: epoch(), State: pump.Backoff, Failures: 1,
		NextTry: epoch().Add(time.Second), LastError: "503",
	})
	play(t, p, []step{
		{time.Second, pump.Tick{}, effects(pump.Ready{})},
		{0, pump.Turn{}, effects(pump.Fetch{From: 11}, wait(patience))},
		{0, fetched(11, 12, 11, 12), effects(batch(2, 11, 12, 11, 12))},
		{0, answer(transport.OK), effects(commit(12), pump.Done{})},
	})
	at.UID = 12
	check(pump.Status{Cursor: at})
	later := func(uidNext uint32, after time.Duration) pump.Head {
		head := head(uidNext)
		head.Noticed = epoch().Add(after)
		return head
	}
	p.Step(later(14, 500*time.Millisecond), epoch())
	check(pump.Status{
		Cursor: at, Lag: 1, OldestPending: epoch().Add(500 * time.Millisecond), State: pump.Gathering,
		NextTry: epoch().Add(time.Second),
	})
	for _, event := range []pump.Event{
		pump.Tick{}, pump.Turn{}, fetched(13, 13, 13), later(15, 2*time.Second), later(16, 3*time.Second), answer(transport.OK),
	} {
		p.Step(event, epoch().Add(time.Second))
	}
	at.UID = 13
	check(pump.Status{
		Cursor: at, Lag: 2, OldestPending: epoch().Add(2 * time.Second), State: pump.Gathering,
		NextTry: epoch().Add(3 * time.Second),
	})
}
