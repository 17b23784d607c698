// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deliver

// turns hands out the right to hold a batch in memory: at most max in all and
// perOrigin to one origin, going round the origins that wait.
type turns struct {
	max, perOrigin int
	active         int
	origins        map[string]*origin
	ring           []*origin // those with a waiting lane and room, in the order to serve
}

// origin is where lanes wait whose endpoints share scheme, host and port.
type origin struct {
	name    string
	waiting []*lane // may hold lanes that are gone
	active  int
	inRing  bool
}

func newTurns(most, perOrigin int) *turns {
	return &turns{max: most, perOrigin: perOrigin, origins: make(map[string]*origin)}
}

// push lets a lane wait for its turn. Should the lane's origin change, this turn still
// counts for the one it waited at.
func (t *turns) push(lane *lane) {
	o := t.origins[lane.origin]
	if o == nil {
		o = &origin{name: lane.origin}
		t.origins[o.name] = o
	}
	lane.turnAt = o
	o.waiting = append(o.waiting, lane)
	t.settle(o)
}

// pop gives the next lane its turn, nil when none may have one.
func (t *turns) pop() *lane {
	for t.active < t.max && len(t.ring) > 0 {
		o := t.ring[0]
		t.ring[0], t.ring = nil, t.ring[1:]
		o.inRing = false
		lane := o.take()
		if lane != nil {
			lane.hasTurn = true
			o.active++
			t.active++
		}
		t.settle(o)
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
	lane.hasTurn = false
	t.active--
	lane.turnAt.active--
	t.settle(lane.turnAt)
}

// settle puts an origin into the ring when it has business there, and forgets it
// when it has none anywhere.
func (t *turns) settle(o *origin) {
	switch {
	case len(o.waiting) == 0 && o.active == 0:
		delete(t.origins, o.name)
	case !o.inRing && len(o.waiting) > 0 && o.active < t.perOrigin:
		o.inRing = true
		t.ring = append(t.ring, o)
	}
}

// take is the first waiting lane that is not gone.
func (o *origin) take() *lane {
	for len(o.waiting) > 0 {
		lane := o.waiting[0]
		o.waiting[0], o.waiting = nil, o.waiting[1:]
		if !lane.gone {
			return lane
		}
	}
	return nil
}
