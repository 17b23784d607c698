// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package turns

import "mailpush.internal/services/listener-worker/internal/deliver/internal/fifo"

// way is from where to where a batch goes.
type way struct {
	store  *store
	origin *Origin
}

// tenant is whose waiters share a limit: a context.
type tenant struct {
	name   string
	active int
	queues map[way]*queue
	ready  fifo.List[*queue] // those that are not parked
	place  *fifo.Element[party]
}

var _ party = (*tenant)(nil)

// next implements party.
func (of *tenant) next(t *Turns) Waiter {
	for !of.idle(t) {
		q := of.ready.First().Value
		q.unplace()
		full := t.full(q)
		if full == nil {
			return t.give(q)
		}
		q.park(full)
		t.passBy(q)
	}
	return nil
}

// idle implements party.
func (of *tenant) idle(t *Turns) bool { return of.ready.Empty() || !t.hasRoom(of) }

// seat implements party.
func (of *tenant) seat() **fifo.Element[party] { return &of.place }

// queue is where the waiters of one tenant with the same store and origin wait.
type queue struct {
	tenant  *tenant
	store   *store
	origin  *Origin
	waiters fifo.List[Waiter]
	out     int                   // turns of waiters that waited here
	passed  int                   // how often it was passed by since it was served
	old     *fifo.Element[*queue] // in turns.old, nil when it is not
	parked  *fifo.List[*queue]    // where it is parked, nil when it is not
	place   *fifo.Element[*queue] // there or in the tenant's ready, nil without waiters
}

func (q *queue) ready() { q.place, q.parked = q.tenant.ready.Push(q), nil }

func (q *queue) park(at spot) { q.place, q.parked = at.parked().Push(q), at.parked() }

func (q *queue) unplace() {
	if q.parked != nil {
		q.parked.Remove(q.place)
	} else {
		q.tenant.ready.Remove(q.place)
	}
	q.place = nil
}

// queue finds or makes the queue of a tenant to a store and an origin.
func (t *Turns) queue(name, mailStore string, at *Origin) *queue {
	of := t.tenants[name]
	if of == nil {
		of = &tenant{name: name, queues: make(map[way]*queue)}
		t.tenants[name] = of
	}
	from := t.stores[mailStore]
	if from == nil {
		from = &store{name: mailStore}
		t.stores[mailStore] = from
	}
	q := of.queues[way{from, at}]
	if q == nil {
		q = &queue{tenant: of, store: from, origin: at}
		of.queues[way{from, at}] = q
		from.queues++
		at.queues++
	}
	return q
}

// forget drops a queue that is not used any more, with the tenant, the store and the
// origin when it was their last.
func (t *Turns) forget(q *queue) {
	if !q.waiters.Empty() {
		return
	}
	t.young(q)
	if q.out > 0 {
		return
	}
	delete(q.tenant.queues, way{q.store, q.origin})
	if len(q.tenant.queues) == 0 {
		t.unseat(q.tenant)
		delete(t.tenants, q.tenant.name)
	}
	if q.store.queues--; q.store.queues == 0 {
		t.unseat(q.store)
		delete(t.stores, q.store.name)
	}
	q.origin.queues--
	t.forgetOrigin(q.origin)
}
