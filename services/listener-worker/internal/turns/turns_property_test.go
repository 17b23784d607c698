// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package turns

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"mailpush.internal/services/listener-worker/internal/breaker"
)

// model is what must hold of turns, the slow way.
type model struct {
	*Turns

	out  []*fakeWaiter // have a turn
	wait []*fakeWaiter
}

func (m *model) free(w *fakeWaiter) bool {
	tenants, origins := 0, 0
	for _, other := range m.out {
		if ofTenant(other) == ofTenant(w) {
			tenants++
		}
		if other.origin == w.origin {
			origins++
		}
	}
	atTenant, atOrigin := m.limits.Tenant, w.origin.breaker.Limit(m.limits.Origin)
	if old := m.eldest(); old != nil && old != w.queue { // room is kept for it
		if old.tenant == w.queue.tenant {
			atTenant--
		}
		if old.origin == w.origin {
			atOrigin--
		}
	}
	return len(m.out) < m.limits.Process && tenants < atTenant && origins < atOrigin
}

// pop checks that whoever gets a turn may have it, and that nobody does only when
// nobody may.
func (m *model) pop(t *rapid.T) {
	free := make(map[*fakeWaiter]bool)
	for _, w := range m.wait {
		free[w] = m.free(w)
	}
	next := m.Turns.pop()
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
		return ofTenant(other) == ofTenant(next) && other.origin == next.origin
	})
	if first != at {
		t.Fatal("one that came later was served earlier")
	}
	m.wait = slices.Delete(m.wait, at, at+1)
	m.out = append(m.out, next)
}

// pick takes one out of a list.
func pick(t *rapid.T, list *[]*fakeWaiter) *fakeWaiter {
	at := rapid.IntRange(0, len(*list)-1).Draw(t, "which")
	w := (*list)[at]
	*list = slices.Delete(*list, at, at+1)
	return w
}

// Whatever comes and goes: no limit is passed, nobody waits who could have a turn, who
// comes first at a place is served first, and nothing is kept of what is over.
func TestTurnsProperty(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := &model{Turns: New(Limits{
			Process: rapid.IntRange(2, 7).Draw(t, "process"),
			Tenant:  rapid.IntRange(1, 4).Draw(t, "tenant"),
			Origin:  rapid.IntRange(1, 3).Draw(t, "origin"),
		})}
		name := rapid.IntRange(0, 2)
		t.Repeat(map[string]func(*rapid.T){
			"push": func(t *rapid.T) {
				w := m.waiting(fmt.Sprint("t", name.Draw(t, "tenant")), fmt.Sprint("o", name.Draw(t, "origin")))
				m.wait = append(m.wait, w)
			},
			"pop": m.pop,
			"pop all": func(t *rapid.T) {
				for range m.limits.Process {
					m.pop(t)
				}
			},
			"push many": func(t *rapid.T) {
				for range 3 {
					m.wait = append(m.wait, m.waiting(fmt.Sprint("t", name.Draw(t, "tenant")), fmt.Sprint("o", name.Draw(t, "origin"))))
				}
			},
			"done": func(t *rapid.T) {
				if len(m.out) > 0 {
					m.over(pick(t, &m.out))
				}
			},
			"remove": func(t *rapid.T) {
				if len(m.wait) > 0 {
					m.over(pick(t, &m.wait))
				}
			},
			"break": func(t *rapid.T) {
				if o := m.origins[fmt.Sprint("o", name.Draw(t, "origin"))]; o != nil {
					o.breaker = inState(rapid.SampledFrom([]breaker.State{breaker.Closed, breaker.Open, breaker.HalfOpen}).Draw(t, "state"))
					m.changed(o)
				}
			},
		})
		for _, w := range append(m.out, m.wait...) {
			m.over(w)
		}
		left := m.states[breaker.Closed].Load() + m.states[breaker.Open].Load() + m.states[breaker.HalfOpen].Load()
		if len(m.tenants)+len(m.origins)+m.ring.Len()+m.active != 0 || left != 0 {
			t.Fatalf("%d tenants, %d origins, %d in the ring, %d active, %d counted are left",
				len(m.tenants), len(m.origins), m.ring.Len(), m.active, left)
		}
	})
}

// Nobody is passed by for ever: with a fixed crowd that comes back again and again,
// everybody gets a turn within a bounded number of others' turns.
func TestTurnsStarveNobodyProperty(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		turns := New(Limits{Process: 5, Tenant: 3, Origin: 2})
		crowd := rapid.IntRange(1, 30).Draw(t, "crowd")
		name := rapid.IntRange(0, 4)
		since := make(map[*fakeWaiter]int)
		for range crowd {
			since[turns.waiting(fmt.Sprint(name.Draw(t, "tenant")), fmt.Sprint(name.Draw(t, "origin")))] = 0
		}
		var out []*fakeWaiter
		rounds := 100 * crowd
		for n := range rounds {
			for w := turns.pop(); w != nil; w = turns.pop() {
				out = append(out, w)
				since[w] = n
			}
			w := out[0] // as requests that take the same time
			out = out[1:]
			turns.Done(w)
			turns.Wait(w, w.tenant)
		}
		for w, last := range since {
			if last < rounds/2 {
				t.Fatalf("%s at %s had its last turn in round %d of %d", ofTenant(w), ofOrigin(w), last, rounds)
			}
		}
	})
}

// inState is a breaker that has come into a state.
func inState(state breaker.State) breaker.Breaker {
	var b breaker.Breaker
	for b.State() == breaker.Closed && state != breaker.Closed {
		b.Result(breaker.Fails, time.Time{}, 0)
	}
	if state == breaker.HalfOpen {
		b.Tick(b.Until())
	}
	return b
}
