// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package turns

import (
	"mailpush.internal/services/listener-worker/internal/deliver/internal/fifo"
	"mailpush.internal/services/listener-worker/internal/deliver/internal/origins"
)

// route is from where to where a batch goes.
type route struct {
	store *store
	to    *destination
}

// tenant is whose waiters share a limit: a context.
type tenant struct {
	name   string
	active int
	queues map[route]*queue
	ready  fifo.List[*queue] // those that are not blocked
	place  *fifo.Element[candidate]
}

var _ candidate = (*tenant)(nil)

// next implements candidate.
func (of *tenant) next(t *Turns) Waiter {
	for !of.idle(t) {
		q := of.ready.First().Value
		q.dequeue()
		full := t.full(q)
		if full == nil {
			return t.grant(q)
		}
		q.block(full)
		t.passOver(q)
	}
	return nil
}

// idle implements candidate.
func (of *tenant) idle(t *Turns) bool { return of.ready.Empty() || !t.mayHaveMore(of) }

// inRing implements candidate.
func (of *tenant) inRing() **fifo.Element[candidate] { return &of.place }

// queue is where the waiters of one tenant with the same store and origin wait.
type queue struct {
	tenant   *tenant
	store    *store
	to       *destination
	waiters  fifo.List[Waiter]
	out      int                   // turns of waiters that waited here
	passed   int                   // how often it was passed over since it was served
	starving *fifo.Element[*queue] // in Turns.starving, nil when it is not
	blocked  *fifo.List[*queue]    // where it is blocked, nil when it is not
	place    *fifo.Element[*queue] // there or in the tenant's ready, nil without waiters
	leads    *fifo.Element[*queue] // in the destination's leading
}

func (q *queue) ready() { q.place, q.blocked = q.tenant.ready.Push(q), nil }

func (q *queue) block(at resource) { q.place, q.blocked = at.blocked().Push(q), at.blocked() }

func (q *queue) dequeue() {
	if q.blocked != nil {
		q.blocked.Remove(q.place)
	} else {
		q.tenant.ready.Remove(q.place)
	}
	q.place = nil
}

// queue finds or makes the queue of a tenant to a store and an origin.
func (t *Turns) queue(name, mailStore string, to *origins.Origin) *queue {
	of := t.tenants[name]
	if of == nil {
		of = &tenant{name: name, queues: make(map[route]*queue)}
		t.tenants[name] = of
	}
	from := t.stores[mailStore]
	if from == nil {
		from = &store{name: mailStore}
		t.stores[mailStore] = from
	}
	way := route{from, t.destination(to)}
	q := of.queues[way]
	if q == nil {
		q = &queue{tenant: of, store: way.store, to: way.to}
		of.queues[way] = q
		way.store.queues++
		q.leads = way.to.leading.Push(q)
	}
	return q
}

// forget drops a queue that is not used any more, with the tenant, the store and the
// destination when it was their last.
func (t *Turns) forget(q *queue) {
	if !q.waiters.Empty() {
		return
	}
	t.served(q)
	if q.out > 0 {
		return
	}
	delete(q.tenant.queues, route{q.store, q.to})
	if len(q.tenant.queues) == 0 {
		t.leave(q.tenant)
		delete(t.tenants, q.tenant.name)
	}
	if q.store.queues--; q.store.queues == 0 {
		t.leave(q.store)
		delete(t.stores, q.store.name)
	}
	q.to.leading.Remove(q.leads)
	t.forgetDestination(q.to)
}
