// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package turns

import "mailpush.internal/services/listener-worker/internal/fifo"

// tenant is whose waiters share a limit: a context.
type tenant struct {
	name   string
	active int
	queues map[*Origin]*queue
	ready  fifo.List[*queue] // those that are not parked
	place  *fifo.Element[party]
}

var _ party = (*tenant)(nil)

// next implements party.
func (of *tenant) next(t *Turns) Waiter {
	for !of.idle(t) {
		q := of.ready.First().Value
		q.unplace()
		if t.hasRoomAt(q.origin) {
			return t.give(q)
		}
		q.park()
		t.passBy(q)
	}
	return nil
}

// idle implements party.
func (of *tenant) idle(t *Turns) bool { return of.ready.Empty() || !t.hasRoom(of) }

// seat implements party.
func (of *tenant) seat() **fifo.Element[party] { return &of.place }

// queue is where the waiters of one tenant to one origin wait.
type queue struct {
	tenant  *tenant
	origin  *Origin
	waiters fifo.List[Waiter]
	out     int                   // turns of waiters that waited here
	passed  int                   // how often it was passed by since it was served
	old     *fifo.Element[*queue] // in turns.old, nil when it is not
	parked  bool
	place   *fifo.Element[*queue] // in the tenant's ready or the origin's parked, nil without waiters
}

func (q *queue) ready() { q.place, q.parked = q.tenant.ready.Push(q), false }

func (q *queue) park() { q.place, q.parked = q.origin.parked.Push(q), true }

func (q *queue) unplace() {
	if q.parked {
		q.origin.parked.Remove(q.place)
	} else {
		q.tenant.ready.Remove(q.place)
	}
	q.place = nil
}

// queue finds or makes the queue of a tenant to an origin.
func (t *Turns) queue(name string, at *Origin) *queue {
	of := t.tenants[name]
	if of == nil {
		of = &tenant{name: name, queues: make(map[*Origin]*queue)}
		t.tenants[name] = of
	}
	q := of.queues[at]
	if q == nil {
		q = &queue{tenant: of, origin: at}
		of.queues[at] = q
		at.queues++
	}
	return q
}

// forget drops a queue that is not used any more, with the tenant and the origin when
// it was their last.
func (t *Turns) forget(q *queue) {
	if !q.waiters.Empty() {
		return
	}
	t.young(q)
	if q.out > 0 {
		return
	}
	delete(q.tenant.queues, q.origin)
	q.origin.queues--
	if len(q.tenant.queues) == 0 {
		t.unseat(q.tenant)
		delete(t.tenants, q.tenant.name)
	}
	t.forgetOrigin(q.origin)
}
