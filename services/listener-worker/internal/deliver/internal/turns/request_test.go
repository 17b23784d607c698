// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package turns

import (
	"fmt"
	"slices"
	"testing"

	"mailpush.internal/services/listener-worker/internal/deliver/internal/origins"
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
		if got := turns.request(w); (got == Granted) != (n < 4) {
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
	turns := limited(Limits{Process: 8, Tenant: 8, Store: 8, Origin: 1})
	turns.waiting("1", "full")
	turns.pop()
	moved := turns.waiting("1", "full")
	if turns.pop() != nil {
		t.Fatal("a turn for an origin that is full")
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

// Who waits for a turn or a permit for an origin is taken back when the origin breaks, and
// only there; whoever has one keeps it, and may come again.
func TestWhoWaitsForAnOriginIsTakenBack(t *testing.T) {
	t.Parallel()
	turns := limited(Limits{Process: 20, Tenant: 20, Store: 20, Origin: 2})
	var all []*fakeWaiter
	for n := range 9 {
		all = append(all, turns.waitingAt(fmt.Sprint(n%2), fmt.Sprint(n%3), "a"))
	}
	elsewhere := turns.waiting("1", "b")
	var reading []*fakeWaiter
	for w := turns.popReading(); w != nil; w = turns.popReading() {
		reading = append(reading, w)
	}
	for _, w := range reading {
		turns.request(w)
	}
	o := all[0].Origin()
	back := turns.Withdraw(o)
	if len(reading) != 6+1 || len(back) != 3 || len(turns.Withdraw(o)) != 0 {
		t.Errorf("%d have a turn and %d are taken back, want 7 and 3", len(reading), len(back))
	}
	away := turns.TurnAway(o)
	if len(away) != 4 {
		t.Errorf("%d are turned away, want 4", len(away))
	}
	if elsewhere.RequestedAt() != elsewhere.Origin() {
		t.Error("one for another origin is turned away")
	}
	for _, w := range reading {
		turns.Done(w)
	}
	for _, w := range slices.Concat(back, away) {
		f, _ := w.(*fakeWaiter)
		if f.Queued() || f.Origin() != o {
			t.Error("one waits although it was taken back, or was not waiting for that origin")
		}
		turns.again(f)
	}
	for range 7 {
		w := turns.popReading()
		if w == nil {
			t.Fatal("one gets no turn when it comes again")
		}
		turns.Done(w)
	}
}

// Those that are only asked for consent have few requests out, so that pushes have room.
func TestQuestionsHaveALimitOfTheirOwn(t *testing.T) {
	t.Parallel()
	turns := limited(Limits{Process: 99, Tenant: 99, Store: 99, Origin: 64, Questions: 2})
	for range 9 {
		f := &fakeWaiter{tenant: "1", store: "s"}
		turns.origins.Join(f, origins.Name{Text: "a", Asks: true})
		turns.again(f)
	}
	granted, reading := 0, 0
	for w := turns.popReading(); w != nil; w = turns.popReading() {
		if reading++; turns.request(w) == Granted {
			granted++
		}
	}
	if granted != 2 || reading > 2*(1+readAhead) {
		t.Errorf("%d of %d questions are out, want 2", granted, reading)
	}
}
