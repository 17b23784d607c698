// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package turns

import (
	"mailpush.internal/services/listener-worker/internal/deliver/internal/fifo"
	"mailpush.internal/services/listener-worker/internal/deliver/internal/origins"
)

// readAhead is how many turns for an origin may read, in multiples of the requests that
// may be out there: as many as two stores that are slow use up.
const readAhead = 2

// destination is an origin with its permits for requests.
type destination struct {
	blocking

	origin   *origins.Origin
	leading  fifo.List[*queue] // all queues that lead here
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
	if d.leading.Len()+d.load() == 0 {
		t.leave(d)
		delete(t.destinations, d.origin)
		t.known.Release(d.origin)
	}
}

// Withdraw takes out all who wait for a turn for an origin. Whoever has one keeps it.
func (t *Turns) Withdraw(o *origins.Origin) []Waiter {
	d := t.destinations[o]
	if d == nil {
		return nil // nobody leads there
	}
	var out []Waiter
	for e := d.leading.First(); e != nil; {
		q := e.Value
		e = e.Next() // the queue may be forgotten
		for !q.waiters.Empty() {
			w := q.waiters.First().Value
			t.Remove(w)
			out = append(out, w)
		}
	}
	return out
}

// load is how many requests are out or wait for a permit.
func (d *destination) load() int { return d.out + d.requests.Len() }

// admits tells whether another turn may be had where so many requests may be out.
func (d *destination) admits(most int) bool {
	return d.load() < most && d.load()+d.reading < (1+readAhead)*most
}

// hasPermit implements resource: what is read for an origin will find a permit there soon.
func (d *destination) hasPermit(t *Turns) bool {
	return d.admits(t.unreserved(t.limit(d), func(q *queue) bool { return q.to == d }))
}

// next implements candidate.
func (d *destination) next(t *Turns) Waiter { return t.nextAt(d) }

// idle implements candidate.
func (d *destination) idle(t *Turns) bool { return d.blocked().Empty() || !d.hasPermit(t) }
