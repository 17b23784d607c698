// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package turns

import (
	"fmt"
	"testing"

	"mailpush.internal/services/listener-worker/internal/deliver/internal/origins"
	"mailpush.internal/services/listener-worker/internal/moment"
)

// fakeWaiter is who waits in tests, with an endpoint.
type fakeWaiter struct {
	Ticket
	origins.Endpoint

	tenant, store string
}

// Oldest implements origins.Member.
func (f *fakeWaiter) Oldest() (moment.Moment, bool) { return 0, true }

// world is turns with the origins they lead to.
type world struct {
	*Turns

	origins *origins.Set
}

// limited makes turns.
func limited(limits Limits) *world { return limitedWith(limits, func(*origins.Origin) {}) }

func limitedWith(limits Limits, ended func(*origins.Origin)) *world {
	all := origins.New(ended)
	return &world{New(limits, all), all}
}

// waiting makes a waiter that waits for its turn, to read at a store of its tenant.
func (w *world) waiting(tenant, origin string) *fakeWaiter {
	return w.waitingAt(tenant, "of "+tenant, origin)
}

func (w *world) waitingAt(tenant, store, origin string) *fakeWaiter {
	f := &fakeWaiter{tenant: tenant, store: store}
	w.origins.Join(f, origins.Name{Text: origin})
	w.again(f)
	return f
}

// again has somebody wait for another turn.
func (w *world) again(f *fakeWaiter) { w.Wait(f, f.tenant, f.store, f.Origin()) }

// move has somebody's endpoint be at another origin.
func (w *world) move(f *fakeWaiter, origin string) {
	waited := w.Remove(f)
	w.origins.Join(f, origins.Name{Text: origin})
	if waited {
		w.again(f)
	}
}

// request asks for a permit where the endpoint is.
func (w *world) request(f *fakeWaiter) Admission { return w.Request(f, f.Origin()) }

// over takes a waiter out for good.
func (w *world) over(f *fakeWaiter) {
	w.Remove(f)
	w.Done(f)
	w.origins.Leave(f)
}

// pop gives the next its turn, and a permit for a request.
func (w *world) pop() *fakeWaiter {
	f := w.popReading()
	if f != nil {
		w.request(f)
	}
	return f
}

// popReading is Pop for those of the tests.
func (w *world) popReading() *fakeWaiter {
	f, _ := w.Pop().(*fakeWaiter)
	return f
}

// popRequest is PopRequest for those of the tests.
func (w *world) popRequest() *fakeWaiter {
	f, _ := w.PopRequest().(*fakeWaiter)
	return f
}

func (w *world) popAll() []*fakeWaiter {
	var out []*fakeWaiter
	for f := w.pop(); f != nil; f = w.pop() {
		out = append(out, f)
	}
	return out
}

// served counts turns by tenant, or by whatever of names.
func served(waiters []*fakeWaiter, name func(*fakeWaiter) string) map[string]int {
	out := make(map[string]int)
	for _, w := range waiters {
		out[name(w)]++
	}
	return out
}

func ofTenant(w *fakeWaiter) string { return w.tenant }
func ofOrigin(w *fakeWaiter) string { return w.Origin().Name().Text }

func TestTurnsAreBounded(t *testing.T) {
	t.Parallel()
	turns := limited(Limits{Process: 12, Tenant: 6, Store: 99, Origin: 4})
	for n := range 30 {
		turns.waiting("1", fmt.Sprint("a", n%3))
		turns.waiting("2", fmt.Sprint("b", n%3))
		turns.waiting("3", "a0")
	}
	out := turns.popAll()
	tenants, destinations := served(out, ofTenant), served(out, ofOrigin)
	for name, turns := range tenants {
		if turns > 6 {
			t.Errorf("tenant %s has %d turns", name, turns)
		}
	}
	for name, turns := range destinations {
		if turns > 4 {
			t.Errorf("origin %s has %d turns", name, turns)
		}
	}
	if len(out) != 12 {
		t.Errorf("%d turns, want 12: %v %v", len(out), tenants, destinations)
	}
}

func TestTenantWithManyOriginsLeavesTheOthersTheirTurns(t *testing.T) {
	t.Parallel()
	turns := limited(Limits{Process: 4, Tenant: 4, Store: 99, Origin: 4})
	for n := range 1000 {
		turns.waiting("many", fmt.Sprint(n))
	}
	for range 100 {
		turns.waiting("one", "x")
	}
	got := make(map[string]int)
	for range 100 {
		w := turns.pop()
		got[ofTenant(w)]++
		turns.Done(w)
	}
	if got["many"] != 50 || got["one"] != 50 {
		t.Errorf("turns %v, want half each", got)
	}
}

func TestOriginWithManyWaitersLeavesTheOthersTheirTurns(t *testing.T) {
	t.Parallel()
	turns := limited(Limits{Process: 3, Tenant: 3, Store: 99, Origin: 3})
	for range 1000 {
		turns.waiting("1", "many")
	}
	for range 3 {
		turns.waiting("1", "few")
		turns.waiting("1", "other")
	}
	var got []string
	for range 9 {
		w := turns.pop()
		got = append(got, ofOrigin(w))
		turns.Done(w)
	}
	if want := "[many few other many few other many few other]"; fmt.Sprint(got) != want {
		t.Errorf("turns %v, want %s", got, want)
	}
}

// A tenant whose waiters hang has its limit's turns and no more, also where it shares an
// origin with others.
func TestFullTenantDoesNotBlockASharedOrigin(t *testing.T) {
	t.Parallel()
	turns := limited(Limits{Process: 100, Tenant: 4, Store: 99, Origin: 8})
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
	turns := limited(Limits{Process: 100, Tenant: 1, Store: 99, Origin: 1})
	holder := turns.waiting("holder", "shared")
	busy := []*fakeWaiter{turns.waiting("1", "own1"), turns.waiting("2", "own2")}
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
	turns := limited(Limits{Process: 1024, Tenant: 256, Store: 256, Origin: 64})
	for n := range 10_000 {
		turns.waiting(fmt.Sprint("tenant ", n), "shared")
	}
	out := turns.popAll()
	if len(out) != 64 {
		t.Fatalf("%d turns, want 64", len(out))
	}
	for n, w := range out {
		if turns.ring.Len() != 0 {
			t.Fatalf("%d go round for nothing after %d turns", turns.ring.Len(), n)
		}
		turns.Done(w)
		if turns.ring.Len() > 2 {
			t.Fatalf("%d go round for one turn", turns.ring.Len())
		}
		if next := turns.popAll(); len(next) != 1 {
			t.Fatalf("%d turns for one that was given back", len(next))
		}
	}
}
