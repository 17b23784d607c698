// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package turns

import (
	"fmt"
	"testing"
	"time"

	"mailpush.internal/services/listener-worker/internal/deliver/internal/origins"
	"mailpush.internal/services/listener-worker/internal/transport"
)

// A store that is slow ties up its own turns, and no room at an origin.
func TestSlowStoreKeepsNobodyFromAnOrigin(t *testing.T) {
	t.Parallel()
	turns := limited(Limits{Process: 100, Tenant: 50, Store: 10, Origin: 4})
	for range 90 {
		turns.waitingAt("1", "slow", "shared")
	}
	reading := 0
	for turns.popReading() != nil {
		reading++
	}
	if reading != 10 {
		t.Errorf("%d read at the store, want 10", reading)
	}
	for range 20 {
		turns.waitingAt("1", "quick", "shared")
		w := turns.popReading()
		if w == nil || w.store != "quick" || turns.request(w) != Granted {
			t.Fatalf("%+v has no room", w)
		}
		turns.Done(w)
	}
}

// An origin that hangs ties up its requests and what has been read for it by then.
func TestOriginThatHangsIsReadNoMoreFor(t *testing.T) {
	t.Parallel()
	turns := limited(Limits{Process: 100, Tenant: 100, Store: 10, Origin: 4})
	for range 90 {
		turns.waiting("1", "hangs")
	}
	var reading []*fakeWaiter
	for w := turns.popReading(); w != nil; w = turns.popReading() {
		reading = append(reading, w)
	}
	for n, w := range reading {
		if got := turns.request(w); (got == Granted) != (n < 4) || got == Refused {
			t.Errorf("admission %d for request %d", got, n)
		}
	}
	if w := turns.popReading(); w != nil || turns.PopRequest() != nil {
		t.Fatal("there is room at an origin that hangs")
	}
	for n := range 6 { // those that wait come first, in their order
		turns.Done(reading[n])
		if w := turns.popRequest(); w != reading[n+4] {
			t.Fatalf("%p comes after %d are done", w, n)
		}
	}
	if turns.popReading() != nil {
		t.Error("more is read while the origin is full")
	}
	turns.Done(reading[6])
	if turns.popReading() == nil {
		t.Error("nothing is read although the origin has room")
	}
}

// However many stores its mailboxes are at.
func TestOriginThatHangsTiesUpABoundedNumberOfTurns(t *testing.T) {
	t.Parallel()
	turns := limited(Limits{Process: 100, Tenant: 100, Store: 10, Origin: 4})
	for n := range 90 {
		turns.waitingAt("1", fmt.Sprint(n), "hangs")
	}
	reading := 0
	for turns.popReading() != nil {
		reading++
	}
	if reading != 3*4 {
		t.Errorf("%d read for an origin with room for 4", reading)
	}
}

// Who has a new endpoint does not wait for the old one's origin.
func TestWhoeverMovesWaitsAtTheNewOrigin(t *testing.T) {
	t.Parallel()
	turns := limited(Limits{Process: 8, Tenant: 8, Store: 8, Origin: 8})
	moved := turns.waiting("1", "dead")
	turns.breaks(moved.Origin(), origins.Open)
	if turns.pop() != nil {
		t.Fatal("a turn for an origin that is out of order")
	}
	turns.move(moved, "new")
	if turns.pop() != moved {
		t.Error("it waits where its endpoint was")
	}
}

func TestRequestCountsWhereItGoes(t *testing.T) {
	t.Parallel()
	turns := limited(Limits{Process: 8, Tenant: 8, Store: 8, Origin: 1})
	moved := turns.waiting("1", "old")
	if turns.popReading() != moved {
		t.Fatal("no turn")
	}
	turns.move(moved, "new")
	if turns.request(moved) != Granted {
		t.Fatal("no room")
	}
	stays, other := turns.waiting("1", "old"), turns.waiting("1", "new")
	if got := turns.popAll(); len(got) != 1 || got[0] != stays {
		t.Errorf("turns of %v", served(got, ofOrigin))
	}
	turns.Done(moved)
	if got := turns.popAll(); len(got) != 1 || got[0] != other {
		t.Errorf("turns of %v after one at the new origin is done", served(got, ofOrigin))
	}
}

// Room lasts for the turn, unless the endpoint moves.
func TestRoomIsKeptFromRequestToRequest(t *testing.T) {
	t.Parallel()
	turns := limited(Limits{Process: 8, Tenant: 8, Store: 8, Origin: 1})
	first, second := turns.waiting("1", "a"), turns.waiting("1", "a")
	turns.popReading()
	turns.popReading()
	if turns.request(first) != Granted || turns.request(second) != Later || turns.request(first) != Granted {
		t.Fatal("room is not kept")
	}
	turns.move(first, "b")
	if turns.request(first) != Granted || turns.popRequest() != second {
		t.Error("the room is not free although the endpoint has moved")
	}
}

// breaks has an origin's breaker come into a state, by what some endpoints are answered
// that are there for that alone.
func (w *world) breaks(o *origins.Origin, state origins.State) {
	var some [3]origins.Endpoint
	for i := range some {
		w.origins.Join(&some[i], o.Name())
	}
	answered := func(n int, class transport.Class) {
		w.origins.Answer(&some[n%len(some)], o, transport.Result{Class: class}, time.Time{}, 0)
	}
	answered(0, transport.OK)
	for n := 0; o.State() == origins.Closed && state != origins.Closed; n++ {
		answered(n, transport.Retry)
	}
	if state == origins.HalfOpen {
		breaker := o.Breaker()
		w.origins.CoolDownOver(o, breaker.Until())
	}
	w.Changed(o)
	for i := range some {
		w.origins.Leave(&some[i])
	}
}

func TestOpenBreakerTurnsRequestsAway(t *testing.T) {
	t.Parallel()
	turns := limited(Limits{Process: 20, Tenant: 20, Store: 20, Origin: 2})
	var all []*fakeWaiter
	for range 5 {
		all = append(all, turns.waiting("1", "a"))
		turns.popReading()
	}
	for _, w := range all[:4] {
		turns.request(w)
	}
	o := all[0].Origin()
	turns.breaks(o, origins.Open)
	if turns.request(all[4]) != Refused {
		t.Error("a request to an origin that is out of order")
	}
	away := turns.TurnAway(o)
	if len(away) != 2 || away[0] != Waiter(all[2]) || away[1] != Waiter(all[3]) {
		t.Errorf("%d are turned away", len(away))
	}
	for _, w := range all {
		turns.Done(w)
		turns.again(w)
	}
	if turns.popReading() != nil {
		t.Error("a turn for an origin that is out of order")
	}
	turns.breaks(o, origins.HalfOpen)
	probe, next := turns.popReading(), turns.popReading()
	if probe == nil || next == nil || turns.request(probe) != Granted || turns.request(next) != Later {
		t.Error("not one request is let through to see")
	}
	turns.breaks(o, origins.Closed)
	if turns.popRequest() != next {
		t.Error("who has waited for the probe waits on")
	}
}

// One slow mailbox does not use up the trial of an origin, and a trial does not have
// all mailboxes read.
func TestTrialOfAnOriginOutlivesASlowMailbox(t *testing.T) {
	t.Parallel()
	turns := limited(Limits{Process: 99, Tenant: 99, Store: 99, Origin: 64})
	first := turns.waiting("1", "a")
	for range 49 {
		turns.waiting("1", "a")
	}
	turns.breaks(first.Origin(), origins.HalfOpen)
	var reading []*fakeWaiter
	for w := turns.popReading(); w != nil; w = turns.popReading() {
		reading = append(reading, w)
	}
	if len(reading) != probers {
		t.Fatalf("%d read for a trial, want %d", len(reading), probers)
	}
	if turns.request(reading[probers-1]) != Granted {
		t.Error("the trial waits for those that read")
	}
}
