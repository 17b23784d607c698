// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package turns

import (
	"mailpush.internal/services/listener-worker/internal/deliver/internal/fifo"
	"mailpush.internal/services/listener-worker/internal/deliver/internal/origins"
)

const (
	// readAhead is how many turns for an origin may read, in multiples of the requests
	// that may be out there: as many as two stores that are slow use up.
	readAhead = 2
	// probers is how many turns are out at once for an origin that is tried with one
	// request: more than one, because a turn may be spent on a mailbox that is slow.
	probers = 8
)

// destination is an origin with its permits for requests.
type destination struct {
	blocking

	origin   *origins.Origin
	queues   int               // that lead here
	reading  int               // turns that read for it
	requests fifo.List[Waiter] // with the turn, whose request waits for a permit
	out      int               // with the turn, whose request has one
	freed    *fifo.Element[*destination]
}

var _ resource = (*destination)(nil)

// destination finds or makes the permits of an origin.
func (t *Turns) destination(to *origins.Origin) *destination {
	d := t.destinations[to]
	if d == nil {
		d = &destination{origin: to}
		t.destinations[to] = d
		t.known.Retain(to)
	}
	return d
}

// forgetDestination drops a destination that nobody leads to.
func (t *Turns) forgetDestination(d *destination) {
	if d.queues+d.load() == 0 {
		t.leave(d)
		delete(t.destinations, d.origin)
		t.known.Release(d.origin)
	}
}

// Changed takes in that an origin's breaker is in another state.
func (t *Turns) Changed(o *origins.Origin) {
	d := t.destinations[o]
	if d == nil {
		return // nobody leads there
	}
	if o.State() != origins.Closed {
		t.reserveNothing(d)
	}
	t.free(d)
	t.unblock(d)
}

// load is how many requests are out or wait for a permit.
func (d *destination) load() int { return d.out + d.requests.Len() }

// admits tells whether another turn may be had where so many requests may be out.
func (d *destination) admits(most int) bool {
	return d.load() < most && d.load()+d.reading < (1+readAhead)*most
}

// hasPermit implements resource. What is read for an origin that works will find a permit
// there soon; one that is only tried is not to be read much for.
func (d *destination) hasPermit(t *Turns) bool {
	switch d.origin.State() {
	case origins.Open:
		return false
	case origins.HalfOpen:
		return d.load()+d.reading < probers
	case origins.Closed:
	}
	return d.admits(t.unreserved(t.limits.Origin, func(q *queue) bool { return q.to == d }))
}

// next implements candidate.
func (d *destination) next(t *Turns) Waiter { return t.nextAt(d) }

// idle implements candidate.
func (d *destination) idle(t *Turns) bool { return d.blocked().Empty() || !d.hasPermit(t) }
