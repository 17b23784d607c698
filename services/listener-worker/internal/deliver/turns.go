// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deliver

import (
	"sync/atomic"

	"mailpush.internal/services/listener-worker/internal/breaker"
	"mailpush.internal/services/listener-worker/internal/fifo"
)

// limits bound the turns that are out at once.
type limits struct{ process, tenant, origin int }

// turns hands out the right to hold a batch in memory. It goes round the tenants and,
// in each, round the origins its lanes wait at, so that neither a tenant with many
// origins nor an origin with many lanes keeps others waiting.
//
// A queue that is found at an origin without room is parked there until the origin
// has room: who waits for a full origin costs nothing meanwhile. Each turn given back
// wakes one of the parked, and the origin itself goes round with the tenants while it
// has room and any are parked, so that none is forgotten when who was woken cannot
// use the room. Tenants without room number no more than process / tenant, so looking
// past them costs little. Who is passed by too often is served first; see eldest.
type turns struct {
	limits

	active  int
	tenants map[string]*tenant
	origins map[string]*origin
	states  [breaker.HalfOpen + 1]atomic.Int64 // how many origins have a breaker so; metrics read it
	ring    fifo.List[party]
	old     fifo.List[*queue] // those that were passed by too often
}

// party goes round: a tenant or an origin.
type party interface {
	// next gives a lane its turn, nil when there is none.
	next(t *turns) *lane
	// idle tells whether there is nothing to serve or no room to.
	idle(t *turns) bool
	// seat is the party's place in the ring, nil without one.
	seat() **fifo.Element[party]
}

func newTurns(most limits) *turns {
	return &turns{limits: most, tenants: make(map[string]*tenant), origins: make(map[string]*origin)}
}

// push lets a lane wait for its turn. Should the lane's origin change, this turn still
// counts for the one it waited at.
func (t *turns) push(lane *lane) {
	q := t.queue(lane.box.user.Context, lane.origin)
	lane.queue, lane.place = q, q.lanes.Push(lane)
	if q.place == nil {
		t.arrange(q)
	}
}

// remove takes a lane out that waits; one that does not is left alone.
func (t *turns) remove(lane *lane) {
	if lane.place == nil {
		return
	}
	q := lane.queue
	q.lanes.Remove(lane.place)
	lane.queue, lane.place = nil, nil
	if q.lanes.Empty() {
		q.unplace()
		t.forget(q)
	}
}

// pop gives the next lane its turn, nil when none may have one.
func (t *turns) pop() *lane {
	if t.active >= t.process {
		return nil
	}
	if lane := t.popEldest(); lane != nil {
		return lane
	}
	for !t.ring.Empty() {
		p := t.ring.Pop()
		*p.seat() = nil
		lane := p.next(t)
		t.seat(p)
		if lane != nil {
			return lane
		}
	}
	return nil
}

// done takes a lane's turn back.
func (t *turns) done(lane *lane) {
	if !lane.hasTurn {
		return
	}
	q := lane.queue
	lane.queue, lane.hasTurn = nil, false
	t.active--
	q.tenant.active--
	q.origin.active--
	q.out--
	t.seat(q.tenant)
	t.wake(q.origin)
	t.forget(q)
}

// wake takes in that an origin may have got room.
func (t *turns) wake(o *origin) {
	if !o.idle(t) {
		q := o.parked.First().Value
		q.unplace()
		q.ready()
		t.seat(q.tenant)
	}
	t.seat(o)
}

// give gives the first lane of a queue without a place its turn.
func (t *turns) give(q *queue) *lane {
	t.young(q)
	lane := q.lanes.Pop()
	lane.place, lane.hasTurn = nil, true
	t.active++
	q.tenant.active++
	q.origin.active++
	q.out++
	t.arrange(q)
	return lane
}

// arrange gives a queue that has none the place where it belongs.
func (t *turns) arrange(q *queue) {
	switch {
	case q.lanes.Empty():
	case t.hasRoomAt(q.origin):
		q.ready()
		t.seat(q.tenant)
	default:
		q.park()
	}
}

// seat has a party go round when it has business there.
func (t *turns) seat(p party) {
	if place := p.seat(); *place == nil && !p.idle(t) {
		*place = t.ring.Push(p)
	}
}

// unseat takes a party that is over out of the ring.
func (t *turns) unseat(p party) {
	if place := p.seat(); *place != nil {
		t.ring.Remove(*place)
		*place = nil
	}
}
