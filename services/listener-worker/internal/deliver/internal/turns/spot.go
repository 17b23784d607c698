// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package turns

import "mailpush.internal/services/listener-worker/internal/deliver/internal/fifo"

// spot is where a queue needs room besides at its tenant: a store or an origin.
type spot interface {
	party
	// hasRoom tells whether another turn may be had there, but for what is kept.
	hasRoom(t *Turns) bool
	// parked are the queues that wait for it to have room.
	parked() *fifo.List[*queue]
}

// lot is where queues are parked.
type lot struct {
	queues fifo.List[*queue]
	place  *fifo.Element[party]
}

// seat implements party.
func (l *lot) seat() **fifo.Element[party] { return &l.place }

// parked implements spot.
func (l *lot) parked() *fifo.List[*queue] { return &l.queues }

// store is a mail store, which is read.
type store struct {
	lot

	name    string
	queues  int // that lead here
	reading int // turns that do
}

var _ spot = (*store)(nil)

// next implements party.
func (s *store) next(t *Turns) Waiter { return t.nextAt(s) }

// idle implements party.
func (s *store) idle(t *Turns) bool { return s.parked().Empty() || !s.hasRoom(t) }

// full is the spot that keeps a queue waiting, nil when there is room at both.
func (t *Turns) full(q *queue) spot {
	switch {
	case !q.origin.hasRoom(t):
		return q.origin
	case !q.store.hasRoom(t):
		return q.store
	}
	return nil
}

// nextAt gives a waiter whose queue is parked at a spot its turn.
func (t *Turns) nextAt(s spot) Waiter {
	for !s.idle(t) {
		q := s.parked().First().Value
		q.unplace()
		switch full := t.full(q); {
		case full != nil:
			q.park(full)
		case t.hasRoom(q.tenant):
			return t.give(q)
		default:
			q.ready() // its tenant looks again when it has room
		}
		t.passBy(q)
	}
	return nil
}

// wake takes in that a spot may have got room.
func (t *Turns) wake(s spot) {
	if !s.idle(t) {
		q := s.parked().First().Value
		q.unplace()
		t.arrange(q)
	}
	t.seat(s)
}
