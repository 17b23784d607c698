// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package turns says who goes next: it hands out the right to hold a batch in memory, a
// turn, and the permits for requests at origins. It is pure; whoever waits embeds a
// [Ticket].
//
// A turn begins with reading, which takes a permit at the mail store and none at the
// origin: a store that is slow keeps nobody from an origin. A permit there is taken with the
// request. Turns are given while the origin has permits for more than what has been read
// for it by then, and for so many at once, so that an origin that is slow ties up few.
//
// Turns are given round robin over the tenants and, in each, over its queues, one for
// each mail store and origin, so that neither a tenant with many queues nor a queue with
// many waiters keeps others waiting.
//
// A queue that finds its store or its origin full is blocked there until a permit is free:
// who waits for a full one costs nothing meanwhile. Each turn given back unblocks one
// queue, and the store or origin itself takes part in the round robin while it has free
// permits and blocked queues, so that none is forgotten when the one that was unblocked
// cannot use the permit. Tenants at their limit number no more than process / tenant, so
// passing them over costs little. A queue that is passed over too often is served first;
// see starvation.go. Whether an origin is in order is not for turns to know: who may not go
// there does not wait here.
package turns

import (
	"mailpush.internal/services/listener-worker/internal/deliver/internal/fifo"
	"mailpush.internal/services/listener-worker/internal/deliver/internal/origins"
)

// Limits bound what is out at once: turns in all, turns of a tenant, turns that read at
// a store, requests to an origin, and those that only ask for consent there.
type Limits struct{ Process, Tenant, Store, Origin, Questions int }

// Turns are those of a process. Its methods are not safe for concurrent use.
type Turns struct {
	limits       Limits
	known        *origins.Set
	active       int
	tenants      map[string]*tenant
	stores       map[string]*store
	destinations map[*origins.Origin]*destination
	ring         fifo.List[candidate]    // who takes part in the round robin
	starving     fifo.List[*queue]       // those that were passed over too often
	freed        fifo.List[*destination] // with a permit for a request that waits
}

// candidate takes part in the round robin: a tenant, a store or a destination.
type candidate interface {
	// next gives a waiter its turn, nil when there is none.
	next(t *Turns) Waiter
	// idle tells whether there is nothing to serve or no permit for it.
	idle(t *Turns) bool
	// inRing is the candidate's place in the ring, nil without one.
	inRing() **fifo.Element[candidate]
}

// New makes turns that nobody waits for, to origins of a set.
func New(limits Limits, known *origins.Set) *Turns {
	return &Turns{
		limits: limits, known: known,
		tenants: make(map[string]*tenant), stores: make(map[string]*store),
		destinations: make(map[*origins.Origin]*destination),
	}
}

// Wait lets a waiter wait for its turn to read at a store for an origin.
func (t *Turns) Wait(w Waiter, tenant, store string, to *origins.Origin) {
	k := w.ticket()
	q := t.queue(tenant, store, to)
	k.queue, k.waits = q, q.waiters.Push(w)
	if q.place == nil {
		t.enqueue(q)
	}
}

// Remove takes a waiter out that waits for its turn, and tells whether it did.
func (t *Turns) Remove(w Waiter) (waited bool) {
	k := w.ticket()
	if k.waits == nil {
		return false
	}
	q := k.queue
	q.waiters.Remove(k.waits)
	k.queue, k.waits = nil, nil
	if q.waiters.Empty() {
		q.dequeue()
		t.forget(q)
	}
	return true
}

// Pop gives the next waiter its turn, nil when none may have one.
func (t *Turns) Pop() Waiter {
	if t.active >= t.limits.Process {
		return nil
	}
	if w := t.popStarving(); w != nil {
		return w
	}
	for !t.ring.Empty() {
		c := t.ring.Pop()
		*c.inRing() = nil
		w := c.next(t)
		t.enter(c)
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
	t.enter(q.tenant)
	t.forget(q)
}

// hasRead gives back the permit that is taken for reading.
func (t *Turns) hasRead(k *Ticket) {
	if !k.reading {
		return
	}
	k.reading = false
	k.queue.store.reading--
	k.queue.to.reading--
	t.unblock(k.queue.store)
	t.unblock(k.queue.to)
}

// grant gives the first waiter of a dequeued queue its turn.
func (t *Turns) grant(q *queue) Waiter {
	t.served(q)
	w := q.waiters.Pop()
	k := w.ticket()
	k.waits, k.hasTurn, k.reading = nil, true, true
	t.active++
	q.tenant.active++
	q.store.reading++
	q.to.reading++
	q.out++
	t.enqueue(q)
	return w
}

// enqueue puts a queue with waiters where it belongs: at its tenant, or blocked.
func (t *Turns) enqueue(q *queue) {
	if q.waiters.Empty() {
		return
	}
	if full := t.full(q); full != nil {
		q.block(full)
		return
	}
	q.ready()
	t.enter(q.tenant)
}

// enter has a candidate take part in the round robin when there is something to serve.
func (t *Turns) enter(c candidate) {
	if place := c.inRing(); *place == nil && !c.idle(t) {
		*place = t.ring.Push(c)
	}
}

// leave takes a candidate that is over out of the round robin.
func (t *Turns) leave(c candidate) {
	if place := c.inRing(); *place != nil {
		t.ring.Remove(*place)
		*place = nil
	}
}
