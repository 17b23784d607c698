// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package turns says who goes next: it hands out the right to hold a batch in memory,
// and knows the origins the batches go to. It is pure; whoever waits embeds a Ticket.
//
// Turns go round the tenants and, in each, round the origins its waiters wait at, so
// that neither a tenant with many origins nor an origin with many waiters keeps others
// waiting.
//
// A queue that is found at an origin without room is parked there until the origin
// has room: who waits for a full origin costs nothing meanwhile. Each turn given back
// wakes one of the parked, and the origin itself goes round with the tenants while it
// has room and any are parked, so that none is forgotten when who was woken cannot
// use the room. Tenants without room number no more than process / tenant, so looking
// past them costs little. Who is passed by too often is served first; see eldest.
package turns

import (
	"sync/atomic"
	"time"

	"mailpush.internal/services/listener-worker/internal/breaker"
	"mailpush.internal/services/listener-worker/internal/fifo"
)

// Limits bound the turns that are out at once: in all, of a tenant, at an origin.
type Limits struct{ Process, Tenant, Origin int }

// Turns are those of a process. Its methods are not safe for concurrent use, States
// excepted.
type Turns struct {
	limits  Limits
	active  int
	tenants map[string]*tenant
	origins map[string]*Origin
	states  [breaker.HalfOpen + 1]atomic.Int64 // how many origins have a breaker so
	ring    fifo.List[party]
	old     fifo.List[*queue] // those that were passed by too often
}

// party goes round: a tenant or an origin.
type party interface {
	// next gives a waiter its turn, nil when there is none.
	next(t *Turns) Waiter
	// idle tells whether there is nothing to serve or no room to.
	idle(t *Turns) bool
	// seat is the party's place in the ring, nil without one.
	seat() **fifo.Element[party]
}

// New makes turns that nobody waits for.
func New(limits Limits) *Turns {
	return &Turns{limits: limits, tenants: make(map[string]*tenant), origins: make(map[string]*Origin)}
}

// Wait lets a waiter wait for its turn at the origin that it has joined. Should it join
// another, this turn still counts for the one it waited at.
func (t *Turns) Wait(w Waiter, tenant string) {
	k := w.ticket()
	q := t.queue(tenant, k.origin)
	k.queue, k.place = q, q.waiters.Push(w)
	if q.place == nil {
		t.arrange(q)
	}
}

// Remove takes a waiter out that waits; one that does not is left alone.
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

// Done takes a turn back; who has none is left alone.
func (t *Turns) Done(w Waiter) {
	k := w.ticket()
	if !k.hasTurn {
		return
	}
	q := k.queue
	k.queue, k.hasTurn = nil, false
	t.active--
	q.tenant.active--
	q.origin.active--
	q.out--
	t.seat(q.tenant)
	t.wake(q.origin)
	t.forget(q)
}

// Judge takes in what an answer to somebody who has the turn says about the origin it
// came from. It returns that origin, and whether its breaker has changed. draw is from
// [0, 1), for the jitter.
func (t *Turns) Judge(w Waiter, s breaker.Signal, now time.Time, draw float64) (o *Origin, changed bool) {
	k := w.ticket()
	o = k.queue.origin
	if o == k.origin {
		k.ail(w, s == breaker.Fails)
	}
	changed = o.breaker.Result(s, now, draw)
	if changed {
		t.changed(o)
	}
	return o, changed
}

// Tick takes in that an origin's cool-down may be over. It returns whether its breaker
// has changed.
func (t *Turns) Tick(o *Origin, now time.Time) bool {
	if !o.breaker.Tick(now) {
		return false
	}
	t.changed(o)
	return true
}

// States is how many origins have a breaker in a state.
func (t *Turns) States(state breaker.State) int64 { return t.states[state].Load() }

// wake takes in that an origin may have got room.
func (t *Turns) wake(o *Origin) {
	if !o.idle(t) {
		q := o.parked.First().Value
		q.unplace()
		q.ready()
		t.seat(q.tenant)
	}
	t.seat(o)
}

// give gives the first waiter of a queue without a place its turn.
func (t *Turns) give(q *queue) Waiter {
	t.young(q)
	w := q.waiters.Pop()
	k := w.ticket()
	k.place, k.hasTurn = nil, true
	t.active++
	q.tenant.active++
	q.origin.active++
	q.out++
	t.arrange(q)
	return w
}

// arrange gives a queue that has none the place where it belongs.
func (t *Turns) arrange(q *queue) {
	switch {
	case q.waiters.Empty():
	case t.hasRoomAt(q.origin):
		q.ready()
		t.seat(q.tenant)
	default:
		q.park()
	}
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
