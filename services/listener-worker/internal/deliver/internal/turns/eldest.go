// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package turns

import "mailpush.internal/services/listener-worker/internal/deliver/internal/origins"

// patience is how often a queue is passed by, because one of its places had
// no room when another had, before room is kept for it.
const patience = 8

// A queue needs room at its tenant, its store and its origin at the same moment. Where
// they are busy that moment may never come by itself. So of the queues that were passed
// by too often the first one, the eldest, has what becomes free kept for it: room for
// one turn at each. There is one eldest at a time, and the turns that
// are out end by themselves: it is served soon, and then the next one is.

// passBy notes that a queue could not be served although it was its turn.
func (t *Turns) passBy(q *queue) {
	if q.origin.breaker.State() != origins.Closed {
		return // nobody is served there
	}
	if q.passed++; q.passed >= patience && q.old == nil {
		q.old = t.old.Push(q)
	}
}

// eldest is the queue that room is kept for, nil without one.
func (t *Turns) eldest() *queue {
	if t.old.Empty() {
		return nil
	}
	return t.old.First().Value
}

// keepNothing forgets who was passed by at an origin where nobody is served any more.
func (t *Turns) keepNothing(at *Origin) {
	for e := t.old.First(); e != nil; {
		q := e.Value
		e = e.Next()
		if q.origin == at {
			t.young(q)
		}
	}
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
	t.wake(q.store)
	t.wake(q.origin)
}

// popEldest gives the eldest its turn, if it has room by now.
func (t *Turns) popEldest() Waiter {
	q := t.eldest()
	if q == nil || q.tenant.active >= t.limits.Tenant || q.store.reading >= t.limits.Store || !q.origin.admits(t.limits.Origin) {
		return nil
	}
	q.unplace()
	return t.give(q)
}

// less is a limit, but for what is kept where the eldest is.
func (t *Turns) less(limit int, here func(eldest *queue) bool) int {
	if q := t.eldest(); q != nil && here(q) {
		return limit - 1
	}
	return limit
}

// hasRoom tells whether a tenant may have another turn, but for what is kept.
func (t *Turns) hasRoom(of *tenant) bool {
	return of.active < t.less(t.limits.Tenant, func(q *queue) bool { return q.tenant == of })
}

// hasRoom implements spot.
func (s *store) hasRoom(t *Turns) bool {
	return s.reading < t.less(t.limits.Store, func(q *queue) bool { return q.store == s })
}
