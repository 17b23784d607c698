// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deliver

import (
	"mailpush.internal/services/listener-worker/internal/breaker"
	"mailpush.internal/services/listener-worker/internal/fifo"
)

// origin is what endpoints with the same scheme, host and port have in common: turns,
// and what is known of its health.
type origin struct {
	name    string
	lanes   int // whose endpoint is here
	queues  int // that lead here
	active  int
	parked  fifo.List[*queue] // queues that wait for it to have room
	place   *fifo.Element[party]
	breaker breaker.Breaker
	counted breaker.State    // as what turns.states has it
	ailing  fifo.List[*lane] // whose last request here failed
	alarm                    // at the end of a cool-down
}

var _ party = (*origin)(nil)

// join finds or makes the origin of one more lane.
func (t *turns) join(name string) *origin {
	o := t.origins[name]
	if o == nil {
		o = &origin{name: name}
		t.origins[name] = o
		t.states[breaker.Closed].Add(1)
	}
	o.lanes++
	return o
}

// leave takes in that a lane is not of the origin any more.
func (t *turns) leave(o *origin) {
	o.lanes--
	t.forgetOrigin(o)
}

// forgetOrigin drops an origin that nobody leads to.
func (t *turns) forgetOrigin(o *origin) {
	if o.lanes == 0 && o.queues == 0 {
		t.unseat(o)
		t.states[o.counted].Add(-1)
		delete(t.origins, o.name)
	}
}

// count takes in that an origin's breaker is in another state.
func (t *turns) count(o *origin) {
	t.states[o.counted].Add(-1)
	o.counted = o.breaker.State()
	t.states[o.counted].Add(1)
}

// next implements party.
func (o *origin) next(t *turns) *lane {
	for !o.idle(t) {
		q := o.parked.First().Value
		q.unplace()
		if t.hasRoom(q.tenant) {
			return t.give(q)
		}
		q.ready() // its tenant looks again when it has room
		t.passBy(q)
	}
	return nil
}

// idle implements party.
func (o *origin) idle(t *turns) bool { return o.parked.Empty() || !t.hasRoomAt(o) }

// seat implements party.
func (o *origin) seat() **fifo.Element[party] { return &o.place }
