// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package turns

import "mailpush.internal/services/listener-worker/internal/breaker"

// patience is how often a queue is passed by, because its tenant had no room when its
// origin had or the other way round, before room is kept for it.
const patience = 8

// A queue needs room at its tenant and at its origin at the same moment. Where both
// are busy that moment may never come by itself. So of the queues that were passed by
// too often the first one, the eldest, has what becomes free kept for it: one turn of
// its tenant and one of its origin. There is one eldest at a time, and the turns that
// are out end by themselves: it is served soon, and then the next one is.

// passBy notes that a queue could not be served although it was its turn.
func (t *Turns) passBy(q *queue) {
	if q.origin.breaker.State() != breaker.Closed {
		return // nobody is served there
	}
	if q.passed++; q.passed >= patience && q.old == nil {
		q.old = t.old.Push(q)
	}
}

// eldest is the queue that room is kept for, nil without one.
func (t *Turns) eldest() *queue {
	for !t.old.Empty() {
		q := t.old.First().Value
		if q.origin.breaker.State() == breaker.Closed {
			return q
		}
		t.young(q)
	}
	return nil
}

// young forgets that a queue was passed by. What was kept for it is for all again.
func (t *Turns) young(q *queue) {
	q.passed = 0
	if q.old == nil {
		return
	}
	t.old.Remove(q.old)
	q.old = nil
	t.seat(q.tenant)
	t.wake(q.origin)
}

// popEldest gives the eldest its turn, if it has room by now.
func (t *Turns) popEldest() Waiter {
	q := t.eldest()
	if q == nil || q.tenant.active >= t.limits.Tenant || q.origin.active >= t.limits.Origin {
		return nil
	}
	q.unplace()
	return t.give(q)
}

// hasRoom tells whether a tenant may have another turn, but for what is kept.
func (t *Turns) hasRoom(of *tenant) bool {
	most := t.limits.Tenant
	if q := t.eldest(); q != nil && q.tenant == of {
		most--
	}
	return of.active < most
}

// hasRoomAt tells whether another turn may be had at an origin, but for what is kept.
func (t *Turns) hasRoomAt(o *Origin) bool {
	most := o.breaker.Limit(t.limits.Origin)
	if q := t.eldest(); q != nil && q.origin == o {
		most--
	}
	return o.active < most
}
