// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package turns

import (
	"iter"

	"mailpush.internal/services/listener-worker/internal/breaker"
	"mailpush.internal/services/listener-worker/internal/fifo"
)

// Origin is what endpoints with the same scheme, host and port have in common: turns,
// and what is known of its health.
type Origin struct {
	name    string
	waiters int // whose endpoint is here
	queues  int // that lead here
	active  int
	parked  fifo.List[*queue] // queues that wait for it to have room
	place   *fifo.Element[party]
	breaker breaker.Breaker
	counted breaker.State     // as what Turns.states has it
	ailing  fifo.List[Waiter] // whose last request here failed
}

var _ party = (*Origin)(nil)

// Name is what the origin was joined by.
func (o *Origin) Name() string { return o.name }

// Waiters is how many have joined the origin.
func (o *Origin) Waiters() int { return o.waiters }

// Breaker is the origin's breaker as it stands.
func (o *Origin) Breaker() breaker.Breaker { return o.breaker }

// Ailing are those whose last request here failed as if the origin were out of order.
func (o *Origin) Ailing() iter.Seq[Waiter] {
	return func(yield func(Waiter) bool) {
		for e := o.ailing.First(); e != nil; e = e.Next() {
			if !yield(e.Value) {
				return
			}
		}
	}
}

// Join has a waiter's endpoint be at the origin of a name, and nowhere else from now
// on. What was known of its endpoint is forgotten.
func (t *Turns) Join(w Waiter, name string) {
	o := t.origins[name]
	if o == nil {
		o = &Origin{name: name}
		t.origins[name] = o
		t.states[breaker.Closed].Add(1)
	}
	o.waiters++
	t.Leave(w)
	w.ticket().origin = o
}

// Leave takes in that a waiter's endpoint is at no origin any more. A turn it has stays
// until it is done.
func (t *Turns) Leave(w Waiter) {
	k := w.ticket()
	if o := k.origin; o != nil {
		k.ail(w, false)
		k.origin = nil
		o.waiters--
		t.forgetOrigin(o)
	}
}

// forgetOrigin drops an origin that nobody leads to.
func (t *Turns) forgetOrigin(o *Origin) {
	if o.waiters == 0 && o.queues == 0 {
		t.unseat(o)
		t.states[o.counted].Add(-1)
		delete(t.origins, o.name)
	}
}

// changed takes in that an origin's breaker is in another state.
func (t *Turns) changed(o *Origin) {
	t.states[o.counted].Add(-1)
	o.counted = o.breaker.State()
	t.states[o.counted].Add(1)
	t.wake(o)
}

// next implements party.
func (o *Origin) next(t *Turns) Waiter {
	for !o.idle(t) {
		q := o.parked.First().Value
		q.unplace()
		if t.hasRoom(q.tenant) {
			return t.give(q)
		}
		q.ready() // its tenant looks again when it has room
		t.passBy(q)
	}
	return nil
}

// idle implements party.
func (o *Origin) idle(t *Turns) bool { return o.parked.Empty() || !t.hasRoomAt(o) }

// seat implements party.
func (o *Origin) seat() **fifo.Element[party] { return &o.place }
