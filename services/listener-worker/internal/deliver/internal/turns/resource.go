// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package turns

import "mailpush.internal/services/listener-worker/internal/deliver/internal/fifo"

// resource is where a queue needs a permit besides at its tenant: a store or a destination.
type resource interface {
	candidate
	// hasPermit tells whether another turn may be had there, but for what is reserved.
	hasPermit(t *Turns) bool
	// blocked are the queues that wait for it to have a permit.
	blocked() *fifo.List[*queue]
}

// blocking is what resources have in common.
type blocking struct {
	queues fifo.List[*queue] // that are blocked here
	place  *fifo.Element[candidate]
}

// inRing implements candidate.
func (b *blocking) inRing() **fifo.Element[candidate] { return &b.place }

// blocked implements resource.
func (b *blocking) blocked() *fifo.List[*queue] { return &b.queues }

// store is a mail store, which is read.
type store struct {
	blocking

	name    string
	queues  int // that read here
	reading int // turns that do
}

var _ resource = (*store)(nil)

// next implements candidate.
func (s *store) next(t *Turns) Waiter { return t.nextAt(s) }

// idle implements candidate.
func (s *store) idle(t *Turns) bool { return s.blocked().Empty() || !s.hasPermit(t) }

// hasPermit implements resource.
func (s *store) hasPermit(t *Turns) bool {
	return s.reading < t.unreserved(t.limits.Store, func(q *queue) bool { return q.store == s })
}

// full is the resource that keeps a queue waiting, nil when both have a permit.
func (t *Turns) full(q *queue) resource {
	switch {
	case !q.to.hasPermit(t):
		return q.to
	case !q.store.hasPermit(t):
		return q.store
	}
	return nil
}

// nextAt gives a waiter whose queue is blocked at a resource its turn.
func (t *Turns) nextAt(r resource) Waiter {
	for !r.idle(t) {
		q := r.blocked().First().Value
		q.dequeue()
		switch full := t.full(q); {
		case full != nil:
			q.block(full)
		case t.mayHaveMore(q.tenant):
			return t.grant(q)
		default:
			q.ready() // its tenant looks again when it may have more
		}
		t.passOver(q)
	}
	return nil
}

// unblock takes in that a resource may have a permit again.
func (t *Turns) unblock(r resource) {
	if !r.idle(t) {
		q := r.blocked().First().Value
		q.dequeue()
		t.enqueue(q)
	}
	t.enter(r)
}
