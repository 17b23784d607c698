// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package turns

import (
	"iter"

	"mailpush.internal/services/listener-worker/internal/deliver/internal/fifo"
	"mailpush.internal/services/listener-worker/internal/deliver/internal/origins"
)

const (
	// ahead is how many turns for an origin may read, in multiples of the requests that
	// may be out there: as many as two stores that are slow use up.
	ahead = 2
	// probers is how many turns are out at once for an origin that is tried with one
	// request: more than one, because a turn may be spent on a mailbox that is slow.
	probers = 8
)

// Origin is what endpoints with the same scheme, host and port have in common: room
// for requests, and what is known of its health.
type Origin struct {
	lot

	name     string
	waiters  int               // whose endpoint is here
	queues   int               // that lead here
	reading  int               // turns that read for it
	requests fifo.List[Waiter] // with the turn, whose request waits for room
	out      int               // with the turn, whose request has room
	freed    *fifo.Element[*Origin]
	breaker  origins.Breaker
	counted  origins.State     // as what Turns.states has it
	ailing   fifo.List[Waiter] // whose last request here failed
}

var _ spot = (*Origin)(nil)

// Name is what the origin was joined by.
func (o *Origin) Name() string { return o.name }

// Waiters is how many have joined the origin.
func (o *Origin) Waiters() int { return o.waiters }

// Breaker is the origin's breaker as it stands.
func (o *Origin) Breaker() origins.Breaker { return o.breaker }

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
// on. If it waits for a turn, it does so there. What was known of its endpoint is
// forgotten.
func (t *Turns) Join(w Waiter, name string) {
	if k := w.ticket(); k.place != nil {
		tenant, store := k.queue.tenant.name, k.queue.store.name
		t.Remove(w)
		defer t.Wait(w, tenant, store)
	}
	o := t.origins[name]
	if o == nil {
		o = &Origin{name: name}
		t.origins[name] = o
		t.states[origins.Closed].Add(1)
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
	if o.waiters+o.queues+o.load() == 0 {
		t.unseat(o)
		t.states[o.counted].Add(-1)
		delete(t.origins, o.name)
		t.ended(o)
	}
}

// changed takes in that an origin's breaker is in another state.
func (t *Turns) changed(o *Origin) {
	t.states[o.counted].Add(-1)
	o.counted = o.breaker.State()
	t.states[o.counted].Add(1)
	if o.counted != origins.Closed {
		t.keepNothing(o)
	}
	t.free(o)
	t.wake(o)
}

// States is how many origins have a breaker in a state.
func (t *Turns) States(state origins.State) int64 { return t.states[state].Load() }

// load is how many requests are out or wait for room.
func (o *Origin) load() int { return o.out + o.requests.Len() }

// admits tells whether another turn may be had where so many requests may be out.
func (o *Origin) admits(most int) bool {
	return o.load() < most && o.load()+o.reading < (1+ahead)*most
}

// hasRoom implements spot. What is read for an origin that works will find room there
// soon; one that is only tried is not to be read much for.
func (o *Origin) hasRoom(t *Turns) bool {
	switch o.breaker.State() {
	case origins.Open:
		return false
	case origins.HalfOpen:
		return o.load()+o.reading < probers
	case origins.Closed:
	}
	return o.admits(t.less(t.limits.Origin, func(q *queue) bool { return q.origin == o }))
}

// next implements party.
func (o *Origin) next(t *Turns) Waiter { return t.nextAt(o) }

// idle implements party.
func (o *Origin) idle(t *Turns) bool { return o.parked().Empty() || !o.hasRoom(t) }
