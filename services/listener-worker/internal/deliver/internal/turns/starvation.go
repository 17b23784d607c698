// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package turns

// starvesAfter is how often a queue is passed over, because one of its resources had no
// permit when another had, before permits are reserved for it.
const starvesAfter = 8

// A queue needs a permit at its tenant, its store and its origin at the same moment. Where
// they are busy that moment may never come by itself. So for the first of the queues that
// were passed over too often what becomes free is reserved: a permit for one turn at each.
// There is one such queue at a time, and the turns that are out end by themselves: it is
// served soon, and then the next one is.

// passOver notes that a queue could not be served although it was its turn.
func (t *Turns) passOver(q *queue) {
	if q.passed++; q.passed >= starvesAfter && q.starving == nil {
		q.starving = t.starving.Push(q)
	}
}

// reserving is the queue that permits are reserved for, nil without one.
func (t *Turns) reserving() *queue {
	if t.starving.Empty() {
		return nil
	}
	return t.starving.First().Value
}

// served forgets that a queue was passed over. What was reserved for it is for all again.
func (t *Turns) served(q *queue) {
	q.passed = 0
	if q.starving == nil {
		return
	}
	t.starving.Remove(q.starving)
	q.starving = nil
	t.enter(q.tenant)
	t.unblock(q.store)
	t.unblock(q.to)
}

// popStarving gives the queue that permits are reserved for its turn, if all are free by now.
func (t *Turns) popStarving() Waiter {
	q := t.reserving()
	if q == nil || q.tenant.active >= t.limits.Tenant || q.store.reading >= t.limits.Store || !q.to.admits(t.limit(q.to)) {
		return nil
	}
	q.dequeue()
	return t.grant(q)
}

// unreserved is a limit without what is reserved here.
func (t *Turns) unreserved(limit int, here func(reserving *queue) bool) int {
	if q := t.reserving(); q != nil && here(q) {
		return limit - 1
	}
	return limit
}

// mayHaveMore tells whether a tenant may have another turn, but for what is reserved.
func (t *Turns) mayHaveMore(of *tenant) bool {
	return of.active < t.unreserved(t.limits.Tenant, func(q *queue) bool { return q.tenant == of })
}
