// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deliver

import (
	"fmt"
	"testing"

	"mailpush.internal/services/listener-worker/internal/listen"
)

// waiting makes a lane that waits for its turn.
func (t *turns) waiting(tenant, origin string) *lane {
	lane := &lane{box: &box{user: listen.User{Context: tenant}}, origin: t.join(origin)}
	t.push(lane)
	return lane
}

// over takes a lane out for good.
func (t *turns) over(lane *lane) {
	t.remove(lane)
	t.done(lane)
	t.leave(lane.origin)
}

func (t *turns) popAll() []*lane {
	var out []*lane
	for lane := t.pop(); lane != nil; lane = t.pop() {
		out = append(out, lane)
	}
	return out
}

// served counts turns by tenant, or by whatever of names.
func served(lanes []*lane, name func(*lane) string) map[string]int {
	out := make(map[string]int)
	for _, lane := range lanes {
		out[name(lane)]++
	}
	return out
}

func ofTenant(lane *lane) string { return lane.box.user.Context }
func ofOrigin(lane *lane) string { return lane.origin.name }

func TestTurnsAreBounded(t *testing.T) {
	t.Parallel()
	turns := newTurns(limits{process: 12, tenant: 6, origin: 4})
	for n := range 30 {
		turns.waiting("1", fmt.Sprint("a", n%3))
		turns.waiting("2", fmt.Sprint("b", n%3))
		turns.waiting("3", "a0")
	}
	lanes := turns.popAll()
	tenants, origins := served(lanes, ofTenant), served(lanes, ofOrigin)
	for name, turns := range tenants {
		if turns > 6 {
			t.Errorf("tenant %s has %d turns", name, turns)
		}
	}
	for name, turns := range origins {
		if turns > 4 {
			t.Errorf("origin %s has %d turns", name, turns)
		}
	}
	if len(lanes) != 12 {
		t.Errorf("%d turns, want 12: %v %v", len(lanes), tenants, origins)
	}
}

func TestTenantWithManyOriginsLeavesTheOthersTheirTurns(t *testing.T) {
	t.Parallel()
	turns := newTurns(limits{process: 4, tenant: 4, origin: 4})
	for n := range 1000 {
		turns.waiting("many", fmt.Sprint(n))
	}
	for range 100 {
		turns.waiting("one", "x")
	}
	got := make(map[string]int)
	for range 100 {
		lane := turns.pop()
		got[ofTenant(lane)]++
		turns.done(lane)
	}
	if got["many"] != 50 || got["one"] != 50 {
		t.Errorf("turns %v, want half each", got)
	}
}

func TestOriginWithManyLanesLeavesTheOthersTheirTurns(t *testing.T) {
	t.Parallel()
	turns := newTurns(limits{process: 3, tenant: 3, origin: 3})
	for range 1000 {
		turns.waiting("1", "many")
	}
	for range 3 {
		turns.waiting("1", "few")
		turns.waiting("1", "other")
	}
	var got []string
	for range 9 {
		lane := turns.pop()
		got = append(got, ofOrigin(lane))
		turns.done(lane)
	}
	if want := "[many few other many few other many few other]"; fmt.Sprint(got) != want {
		t.Errorf("turns %v, want %s", got, want)
	}
}

// A tenant whose lanes hang has its limit's turns and no more, also where it shares an
// origin with others.
func TestFullTenantDoesNotBlockASharedOrigin(t *testing.T) {
	t.Parallel()
	turns := newTurns(limits{process: 100, tenant: 4, origin: 8})
	for n := range 50 {
		turns.waiting("full", fmt.Sprint("own", n))
		turns.waiting("full", "shared")
	}
	first := turns.popAll()
	for range 8 {
		turns.waiting("other", "shared")
		turns.waiting("third", "shared")
	}
	got := served(append(first, turns.popAll()...), ofTenant)
	if got["full"] != 4 || got["other"] < 3 || got["third"] < 3 {
		t.Errorf("turns %v", got)
	}
}

// Room at an origin goes to the first who can use it, and those who could not come
// next when they can.
func TestRoomPassesByFullTenants(t *testing.T) {
	t.Parallel()
	turns := newTurns(limits{process: 100, tenant: 1, origin: 1})
	holder := turns.waiting("holder", "shared")
	busy := []*lane{turns.waiting("1", "own1"), turns.waiting("2", "own2")}
	turns.popAll()
	for _, tenant := range []string{"1", "2", "3"} {
		turns.waiting(tenant, "shared")
	}
	turns.over(holder)
	third := turns.popAll()
	if len(third) != 1 || ofTenant(third[0]) != "3" {
		t.Fatalf("turns of %v", served(third, ofTenant))
	}
	turns.over(busy[1])
	if more := turns.popAll(); len(more) != 0 {
		t.Fatalf("turns of %v at a full origin", served(more, ofTenant))
	}
	turns.over(third[0])
	if next := turns.popAll(); len(next) != 1 || ofTenant(next[0]) != "2" {
		t.Errorf("turns of %v", served(next, ofTenant))
	}
}

// Ten thousand that wait for a full origin are looked at once, and not again until it
// has room; then one of them is.
func TestWhoWaitsForAFullOriginCostsNothing(t *testing.T) {
	t.Parallel()
	turns := newTurns(limits{process: 1024, tenant: 256, origin: 64})
	for n := range 10_000 {
		turns.waiting(fmt.Sprint("tenant ", n), "shared")
	}
	lanes := turns.popAll()
	if len(lanes) != 64 {
		t.Fatalf("%d turns, want 64", len(lanes))
	}
	for n, lane := range lanes {
		if turns.ring.Len() != 0 {
			t.Fatalf("%d go round for nothing after %d turns", turns.ring.Len(), n)
		}
		turns.done(lane)
		if turns.ring.Len() > 2 {
			t.Fatalf("%d go round for one turn", turns.ring.Len())
		}
		if next := turns.popAll(); len(next) != 1 {
			t.Fatalf("%d turns for one that was given back", len(next))
		}
	}
}

func TestTurnIsGivenBackToTheOriginItWasTakenFrom(t *testing.T) {
	t.Parallel()
	turns := newTurns(limits{process: 8, tenant: 8, origin: 1})
	moved := turns.waiting("1", "old")
	turns.pop()
	waiting := turns.waiting("1", "old")
	old := moved.origin
	moved.origin = turns.join("new")
	turns.leave(old)
	turns.push(turns.waiting("1", "new")) // nobody has a turn at the new one
	if lane := turns.pop(); lane == nil || lane.origin.name != "new" {
		t.Errorf("%v got a turn", lane)
	}
	turns.done(moved)
	if lane := turns.pop(); lane != waiting {
		t.Error("the turn did not come back to where it was taken")
	}
}
