// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package turns

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"mailpush.internal/services/listener-worker/internal/deliver/internal/origins"
)

// model is what must hold of turns, the slow way.
type model struct {
	*world

	wait     []*fakeWaiter
	reading  []*fakeWaiter // have a turn
	requests []*fakeWaiter // wait for room at their origin
	out      []*fakeWaiter // have it
}

// count is how many of some waiters are like one.
func count(like func(*fakeWaiter) bool, lists ...[]*fakeWaiter) int {
	sum := 0
	for _, w := range slices.Concat(lists...) {
		if like(w) {
			sum++
		}
	}
	return sum
}

// free tells whether somebody who waits may have a turn.
func (m *model) free(w *fakeWaiter) bool {
	atTenant, atStore, atOrigin := m.limits.Tenant, m.limits.Store, m.limits.Origin
	if old := m.reserving(); old != nil && old != w.queue { // permits are reserved for it
		if old.tenant == w.queue.tenant {
			atTenant--
		}
		if old.store == w.queue.store {
			atStore--
		}
		if old.to.origin == w.Origin() {
			atOrigin--
		}
	}
	atThisTenant := func(other *fakeWaiter) bool { return other.tenant == w.tenant }
	atThisStore := func(other *fakeWaiter) bool { return other.store == w.store }
	atThisOrigin := func(other *fakeWaiter) bool { return other.Origin() == w.Origin() }
	load := count(atThisOrigin, m.requests, m.out)
	if load+count(atThisOrigin, m.reading) >= (1+readAhead)*atOrigin {
		return false
	}
	return len(m.reading)+len(m.requests)+len(m.out) < m.limits.Process &&
		count(atThisTenant, m.reading, m.requests, m.out) < atTenant && count(atThisStore, m.reading) < atStore && load < atOrigin
}

// pop checks that whoever gets a turn may have it, and that nobody does only when
// nobody may.
func (m *model) pop(t *rapid.T) {
	free := make(map[*fakeWaiter]bool)
	for _, w := range m.wait {
		free[w] = m.free(w)
	}
	next := m.popReading()
	if next == nil {
		if at := slices.IndexFunc(m.wait, m.free); at >= 0 {
			t.Fatalf("%s at %s waits for nothing", ofTenant(m.wait[at]), ofOrigin(m.wait[at]))
		}
		return
	}
	at := slices.Index(m.wait, next)
	if at < 0 || !free[next] {
		t.Fatalf("%s at %s got a turn", ofTenant(next), ofOrigin(next))
	}
	first := slices.IndexFunc(m.wait, func(other *fakeWaiter) bool {
		return ofTenant(other) == ofTenant(next) && other.store == next.store && other.Origin() == next.Origin()
	})
	if first != at {
		t.Fatal("one that came later was served earlier")
	}
	m.wait = slices.Delete(m.wait, at, at+1)
	m.reading = append(m.reading, next)
}

// roomAt tells whether one more request may be out at an origin.
func (m *model) roomAt(o *origins.Origin) bool {
	return count(func(w *fakeWaiter) bool { return w.Origin() == o }, m.out) < m.limits.Origin
}

// request has one of those that read ask for room, and checks the answer.
func (m *model) asks(t *rapid.T) {
	if len(m.reading) == 0 {
		return
	}
	w := pick(t, &m.reading)
	o := w.Origin()
	crowd := count(func(other *fakeWaiter) bool { return other.Origin() == o }, m.requests) > 0
	want := Later
	if !crowd && m.roomAt(o) {
		want = Granted
	}
	got := m.world.request(w)
	if got != want {
		t.Fatalf("admission %d at %s, want %d", got, ofOrigin(w), want)
	}
	switch got {
	case Granted:
		m.out = append(m.out, w)
	case Later:
		m.requests = append(m.requests, w)
	}
}

// givesUp has somebody with a turn give it back and wait for the next.
func (m *model) givesUp(w *fakeWaiter) {
	m.Done(w)
	m.again(w)
	m.wait = append(m.wait, w)
}

// popRequests lets requests out that wait, and checks that none is left that could be.
func (m *model) popRequests(t *rapid.T) {
	for w := m.popRequest(); w != nil; w = m.popRequest() {
		at := slices.IndexFunc(m.requests, func(other *fakeWaiter) bool { return other.Origin() == w.Origin() })
		if at < 0 || m.requests[at] != w || !m.roomAt(w.Origin()) {
			t.Fatalf("a request to %s goes out", ofOrigin(w))
		}
		m.requests = slices.Delete(m.requests, at, at+1)
		m.out = append(m.out, w)
	}
	for _, w := range m.requests {
		if m.roomAt(w.Origin()) {
			t.Fatalf("a request to %s waits for nothing", ofOrigin(w))
		}
	}
}

// breaking has all taken back who wait at an origin; those that waited for a turn stay
// away, the others come again.
func (m *model) breaking(t *rapid.T, o *origins.Origin) {
	for _, back := range m.Withdraw(o) {
		w, _ := back.(*fakeWaiter)
		at := slices.Index(m.wait, w)
		if at < 0 || w.Origin() != o {
			t.Fatal("one is taken back that did not wait there")
		}
		m.wait = slices.Delete(m.wait, at, at+1)
		m.over(w)
	}
	if at := slices.IndexFunc(m.wait, func(w *fakeWaiter) bool { return w.Origin() == o }); at >= 0 {
		t.Fatal("one still waits for a turn")
	}
	for _, away := range m.TurnAway(o) {
		w, _ := away.(*fakeWaiter)
		m.requests = slices.DeleteFunc(m.requests, func(other *fakeWaiter) bool { return other == w })
		m.givesUp(w)
	}
}

// pick takes one out of a list.
func pick(t *rapid.T, list *[]*fakeWaiter) *fakeWaiter {
	at := rapid.IntRange(0, len(*list)-1).Draw(t, "which")
	w := (*list)[at]
	*list = slices.Delete(*list, at, at+1)
	return w
}

// few are the numbers of tenants, stores and origins.
func few() *rapid.Generator[int] { return rapid.IntRange(0, 2) }

// any makes one that waits somewhere.
func (m *model) any(t *rapid.T) *fakeWaiter {
	return m.waitingAt(fmt.Sprint("t", few().Draw(t, "tenant")), fmt.Sprint("s", few().Draw(t, "store")), fmt.Sprint("o", few().Draw(t, "origin")))
}

// Whatever comes and goes: no limit is passed, nobody waits who could have a turn, who
// comes first at a place is served first, and nothing is kept of what is over.
func TestTurnsProperty(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		seen := make(map[*origins.Origin]bool)
		m := &model{world: limitedWith(Limits{
			Process: rapid.IntRange(2, 7).Draw(t, "process"),
			Tenant:  rapid.IntRange(1, 4).Draw(t, "tenant"),
			Store:   rapid.IntRange(1, 4).Draw(t, "store"),
			Origin:  rapid.IntRange(1, 3).Draw(t, "origin"),
		}, func(o *origins.Origin) {
			if seen[o] {
				t.Fatal("an origin is over twice")
			}
			seen[o] = true
		})}
		t.Repeat(map[string]func(*rapid.T){
			"push": func(t *rapid.T) { m.wait = append(m.wait, m.any(t)) },
			"push many": func(t *rapid.T) {
				for range 3 {
					m.wait = append(m.wait, m.any(t))
				}
			},
			"pop": m.pop,
			"pop all": func(t *rapid.T) {
				for range m.limits.Process {
					m.pop(t)
				}
			},
			"request":      m.asks,
			"pop requests": m.popRequests,
			"done": func(t *rapid.T) {
				for _, list := range []*[]*fakeWaiter{&m.wait, &m.reading, &m.requests, &m.out} {
					if len(*list) > 0 && rapid.Bool().Draw(t, "one of these") {
						m.over(pick(t, list))
					}
				}
			},
			"break": func(t *rapid.T) {
				name := fmt.Sprint("o", few().Draw(t, "origin"))
				for o := range m.destinations {
					if o.Name().Text == name {
						m.breaking(t, o)
						return
					}
				}
			},
		})
		for _, w := range slices.Concat(m.wait, m.reading, m.requests, m.out) {
			m.over(w)
		}
		left := m.origins.States(origins.Closed) + m.origins.States(origins.Open) + m.origins.States(origins.HalfOpen)
		if len(m.tenants)+len(m.stores)+len(m.destinations)+m.ring.Len()+m.starving.Len()+m.active+m.origins.Len() != 0 || left != 0 {
			t.Fatalf("%d tenants, %d stores, %d destinations, %d in the ring, %d starving, %d active, %d origins, %d counted are left",
				len(m.tenants), len(m.stores), len(m.destinations), m.ring.Len(), m.starving.Len(), m.active, m.origins.Len(), left)
		}
	})
}

// Nobody is passed by for ever: with a fixed crowd that comes back again and again,
// everybody gets a turn within a bounded number of others' turns.
func TestTurnsStarveNobodyProperty(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		turns := limited(Limits{Process: 5, Tenant: 3, Store: 2, Origin: 2})
		crowd := rapid.IntRange(1, 30).Draw(t, "crowd")
		name := rapid.IntRange(0, 4)
		since := make(map[*fakeWaiter]int)
		for range crowd {
			w := turns.waitingAt(fmt.Sprint(name.Draw(t, "tenant")), fmt.Sprint(name.Draw(t, "store")), fmt.Sprint(name.Draw(t, "origin")))
			since[w] = 0
		}
		var reading, out []*fakeWaiter
		rounds := 100 * crowd
		for n := range rounds {
			for w := turns.popReading(); w != nil; w = turns.popReading() {
				reading = append(reading, w)
			}
			if len(reading) > 0 { // as reads and requests that take the same time
				w := reading[0]
				reading = reading[1:]
				if turns.request(w) == Granted {
					out = append(out, w)
				}
			}
			if len(out) > 0 && (len(reading) == 0 || n%2 == 0) {
				w := out[0]
				out = out[1:]
				since[w] = n
				turns.Done(w)
				turns.again(w)
			}
			for w := turns.popRequest(); w != nil; w = turns.popRequest() {
				out = append(out, w)
			}
		}
		for w, last := range since {
			if last < rounds/2 {
				t.Fatalf("%s at %s had its last turn in round %d of %d", ofTenant(w), ofOrigin(w), last, rounds)
			}
		}
	})
}
