// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deliver

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
	*turns

	out  []*lane // have a turn
	wait []*lane
}

func (m *model) free(lane *lane) bool {
	tenants, origins := 0, 0
	for _, other := range m.out {
		if ofTenant(other) == ofTenant(lane) {
			tenants++
		}
		if other.origin == lane.origin {
			origins++
		}
	}
	atTenant, atOrigin := m.tenant, lane.origin.breaker.Limit(m.limits.origin)
	if old := m.eldest(); old != nil && old != lane.queue { // room is kept for it
		if old.tenant == lane.queue.tenant {
			atTenant--
		}
		if old.origin == lane.origin {
			atOrigin--
		}
	}
	return len(m.out) < m.process && tenants < atTenant && origins < atOrigin
}

// pop checks that whoever gets a turn may have it, and that nobody does only when
// nobody may.
func (m *model) pop(t *rapid.T) {
	free := make(map[*lane]bool)
	for _, lane := range m.wait {
		free[lane] = m.free(lane)
	}
	next := m.turns.pop()
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
	first := slices.IndexFunc(m.wait, func(other *lane) bool {
		return ofTenant(other) == ofTenant(next) && other.origin == next.origin
	})
	if first != at {
		t.Fatal("one that came later was served earlier")
	}
	m.wait = slices.Delete(m.wait, at, at+1)
	m.out = append(m.out, next)
}

// pick takes one out of a list.
func pick(t *rapid.T, list *[]*lane) *lane {
	at := rapid.IntRange(0, len(*list)-1).Draw(t, "which")
	lane := (*list)[at]
	*list = slices.Delete(*list, at, at+1)
	return lane
}

// Whatever comes and goes: no limit is passed, nobody waits who could have a turn, who
// comes first at a place is served first, and nothing is kept of what is over.
func TestTurnsProperty(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := &model{turns: newTurns(limits{
			process: rapid.IntRange(2, 7).Draw(t, "process"),
			tenant:  rapid.IntRange(1, 4).Draw(t, "tenant"),
			origin:  rapid.IntRange(1, 3).Draw(t, "origin"),
		})}
		name := rapid.IntRange(0, 2)
		t.Repeat(map[string]func(*rapid.T){
			"push": func(t *rapid.T) {
				lane := m.waiting(fmt.Sprint("t", name.Draw(t, "tenant")), fmt.Sprint("o", name.Draw(t, "origin")))
				m.wait = append(m.wait, lane)
			},
			"pop": m.pop,
			"pop all": func(t *rapid.T) {
				for range m.process {
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
					m.count(o)
					m.wake(o)
				}
			},
		})
		for _, lane := range append(m.out, m.wait...) {
			m.over(lane)
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
		turns := newTurns(limits{process: 5, tenant: 3, origin: 2})
		crowd := rapid.IntRange(1, 30).Draw(t, "crowd")
		name := rapid.IntRange(0, 4)
		since := make(map[*lane]int)
		for range crowd {
			since[turns.waiting(fmt.Sprint(name.Draw(t, "tenant")), fmt.Sprint(name.Draw(t, "origin")))] = 0
		}
		var out []*lane
		rounds := 100 * crowd
		for n := range rounds {
			for lane := turns.pop(); lane != nil; lane = turns.pop() {
				out = append(out, lane)
				since[lane] = n
			}
			lane := out[0] // as requests that take the same time
			out = out[1:]
			turns.done(lane)
			turns.push(lane)
		}
		for lane, last := range since {
			if last < rounds/2 {
				t.Fatalf("%s at %s had its last turn in round %d of %d", ofTenant(lane), ofOrigin(lane), last, rounds)
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
