// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package turns says who goes next: it hands out the right to hold a batch in memory
// and the room for requests at origins, whose health it knows. It is pure; whoever
// waits embeds a Ticket.
//
// A turn begins with reading, which takes room at the mail store, and none at the
// origin: a store that is slow keeps nobody from an origin. Room there is taken with the
// request. Turns are given while the origin has room for more than what has been read
// for it by then, and for so many at once, so that an origin that is slow ties up few.
//
// Turns go round the tenants and, in each, round the stores and origins its waiters
// wait at, so that neither a tenant with many of them nor one of them with many waiters
// keeps others waiting.
//
// A queue that is found at a store or an origin without room is parked there until it
// has room: who waits for a full place costs nothing meanwhile. Each turn given back
// wakes one of the parked, and the place itself goes round with the tenants while it
// has room and any are parked, so that none is forgotten when who was woken cannot
// use the room. Tenants without room number no more than process / tenant, so looking
// past them costs little. Who is passed by too often is served first; see eldest.
package turns

import (
	"sync/atomic"

	"mailpush.internal/services/listener-worker/internal/deliver/internal/fifo"
	"mailpush.internal/services/listener-worker/internal/deliver/internal/origins"
)

// Limits bound what is out at once: turns in all, turns of a tenant, turns that read at
// a store, requests to an origin.
type Limits struct{ Process, Tenant, Store, Origin int }

// Turns are those of a process. Its methods are not safe for concurrent use, States
// excepted.
type Turns struct {
	limits  Limits
	ended   func(*Origin)
	active  int
	tenants map[string]*tenant
	stores  map[string]*store
	origins map[string]*Origin
	states  [origins.HalfOpen + 1]atomic.Int64 // how many origins have a breaker so
	ring    fifo.List[party]
	old     fifo.List[*queue]  // those that were passed by too often
	freed   fifo.List[*Origin] // with room for a request that waits
}

// party goes round: a tenant, a store or an origin.
type party interface {
	// next gives a waiter its turn, nil when there is none.
	next(t *Turns) Waiter
	// idle tells whether there is nothing to serve or no room to.
	idle(t *Turns) bool
	// seat is the party's place in the ring, nil without one.
	seat() **fifo.Element[party]
}

// New makes turns that nobody waits for. ended is told of origins that nobody leads to
// any more: whoever joins one of that name finds another, of which nothing is known.
func New(limits Limits, ended func(*Origin)) *Turns {
	return &Turns{
		limits: limits, ended: ended,
		tenants: make(map[string]*tenant), stores: make(map[string]*store), origins: make(map[string]*Origin),
	}
}

// Wait lets a waiter wait for its turn to read at a store for the origin that it has
// joined.
func (t *Turns) Wait(w Waiter, tenant, store string) {
	k := w.ticket()
	q := t.queue(tenant, store, k.origin)
	k.queue, k.place = q, q.waiters.Push(w)
	if q.place == nil {
		t.arrange(q)
	}
}

// Remove takes a waiter out that waits for its turn; one that does not is left alone.
func (t *Turns) Remove(w Waiter) {
	k := w.ticket()
	if k.place == nil {
		return
	}
	q := k.queue
	q.waiters.Remove(k.place)
	k.queue, k.place = nil, nil
	if q.waiters.Empty() {
		q.unplace()
		t.forget(q)
	}
}

// Pop gives the next waiter its turn, nil when none may have one.
func (t *Turns) Pop() Waiter {
	if t.active >= t.limits.Process {
		return nil
	}
	if w := t.popEldest(); w != nil {
		return w
	}
	for !t.ring.Empty() {
		p := t.ring.Pop()
		*p.seat() = nil
		w := p.next(t)
		t.seat(p)
		if w != nil {
			return w
		}
	}
	return nil
}

// Done takes a turn back, with all that goes with it; who has none is left alone.
func (t *Turns) Done(w Waiter) {
	k := w.ticket()
	if !k.hasTurn {
		return
	}
	t.hasRead(k)
	t.release(k)
	q := k.queue
	k.queue, k.hasTurn = nil, false
	t.active--
	q.tenant.active--
	q.out--
	t.seat(q.tenant)
	t.forget(q)
}

// hasRead gives back the room that is taken for reading.
func (t *Turns) hasRead(k *Ticket) {
	if !k.reading {
		return
	}
	k.reading = false
	k.queue.store.reading--
	k.queue.origin.reading--
	t.wake(k.queue.store)
	t.wake(k.queue.origin)
}

// give gives the first waiter of a queue without a place its turn.
func (t *Turns) give(q *queue) Waiter {
	t.young(q)
	w := q.waiters.Pop()
	k := w.ticket()
	k.place, k.hasTurn, k.reading = nil, true, true
	t.active++
	q.tenant.active++
	q.store.reading++
	q.origin.reading++
	q.out++
	t.arrange(q)
	return w
}

// arrange gives a queue that has none the place where it belongs.
func (t *Turns) arrange(q *queue) {
	if q.waiters.Empty() {
		return
	}
	if full := t.full(q); full != nil {
		q.park(full)
		return
	}
	q.ready()
	t.seat(q.tenant)
}

// seat has a party go round when it has business there.
func (t *Turns) seat(p party) {
	if place := p.seat(); *place == nil && !p.idle(t) {
		*place = t.ring.Push(p)
	}
}

// unseat takes a party that is over out of the ring.
func (t *Turns) unseat(p party) {
	if place := p.seat(); *place != nil {
		t.ring.Remove(*place)
		*place = nil
	}
}
