// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package origins

import (
	"cmp"
	"slices"
	"time"

	"mailpush.internal/services/listener-worker/internal/moment"
)

// Await has a member wait for its origin, which is out of order. One that does not fail as
// far as is known is tried in the look there is, after those that wait already; others wait
// for the next one.
func (s *Set) Await(m Member) {
	e := m.endpoint()
	t := e.troubled()
	if t.inRoom == nil {
		t.inRoom = e.origin.room.Push(m)
	}
	if e.origin.State() == HalfOpen && t.fails == nil {
		t.queue(m, e.origin)
	}
}

// Press has a member be tried whatever is known of its origin. It tells whether the member
// has been waiting for that.
func (s *Set) Press(m Member) (waited bool) {
	e := m.endpoint()
	if e.origin.State() == Closed {
		return false
	}
	t := e.troubled()
	waited = t.inRoom != nil
	t.unplace(e.origin)
	t.pressed = true
	return waited
}

// Clear takes out all that wait for an origin, in the order they came.
func (s *Set) Clear(o *Origin) []Member {
	var out []Member
	for !o.room.Empty() {
		m := o.room.First().Value
		m.endpoint().trouble.unplace(o)
		m.endpoint().relieve()
		out = append(out, m)
	}
	o.dissolve()
	return out
}

// Due is when Tick is to be called next; zero when the origin is in order.
func (o *Origin) Due() time.Time {
	switch {
	case o.State() == Closed:
		return time.Time{}
	case o.State() == HalfOpen && o.look.stalls() && o.look.grows.Before(o.breaker.until):
		return o.look.grows
	}
	return o.breaker.until
}

// Tick takes in the time: a cool-down may be over, or a probe be silent for too long. It
// tells whether the breaker is in another state. Probe may return somebody after it.
func (s *Set) Tick(o *Origin, now time.Time, draw float64) (moved bool) {
	before := o.State()
	switch {
	case o.breaker.Tick(now, draw):
		o.look.begin(now)
		o.lineUp()
	case o.State() == HalfOpen && o.look.stalls() && !now.Before(o.look.grows):
		o.look.grow(now)
	}
	if moved = o.State() != before; moved {
		s.moved(o, before, now)
	}
	return moved
}

// Probe is who is to be tried now to see whether an origin works, nil for nobody, and
// whether it has been waiting for that or stays away. If no request comes of it, Unprobed
// is to be called.
func (s *Set) Probe(o *Origin, now time.Time) (m Member, waited bool) {
	first := o.line.First()
	if first == nil {
		first = o.last.First()
	}
	if o.State() != HalfOpen || !o.look.admits() || first == nil {
		return nil, false
	}
	m = first.Value
	t := m.endpoint().trouble
	waited = t.inRoom != nil
	t.unplace(o)
	t.probing, t.round = true, o.round
	o.look.probe(now)
	return m, waited
}

// Unprobed takes in that no request has come of a probe, and tells whether the member was
// out for one.
func (s *Set) Unprobed(m Member) (was bool) {
	e := m.endpoint()
	if was = e.trouble != nil && e.trouble.probing; was {
		e.origin.look.left++
		e.trouble.unprobe(e.origin)
	}
	return was
}

// answered takes in that somebody has been heard of. Who could not reach the origin can be
// tried again once it answers: in this look, or by whoever is told.
func (o *Origin) answered(signal Signal, now time.Time) (back []Member) {
	if signal.answers() && o.State() == HalfOpen {
		o.look.grow(now)
	}
	if !signal.answers() || o.unreached.Empty() {
		return nil
	}
	if o.State() == Open {
		o.breaker.hurry(now)
		return nil
	}
	for !o.unreached.Empty() {
		m := o.unreached.First().Value
		t := m.endpoint().trouble
		if t.own {
			t.list(m, &o.own)
		} else {
			t.list(m, &o.suspects)
		}
		t.round = o.round - 1
		back = append(back, m)
	}
	if o.State() == Closed {
		return back
	}
	o.dissolve()
	o.enlist(o.untried())
	o.share = probes
	return nil
}

// lineUp has those be tried next that have not been tried in this round, and when there is
// none begins another one. Those that are known to fail are tried in two looks, half of
// them in each: so they are tried about as often as their back-off would have it, and each
// within two cool-downs.
func (o *Origin) lineUp() {
	o.dissolve()
	all := o.untried()
	if len(all) == 0 || o.share == 0 {
		o.round++
		all = o.untried()
		o.share = (len(all) + 1) / 2
	}
	inOrder(all)
	left := o.share
	o.enlist(slices.DeleteFunc(all, func(c candidate) bool {
		if c.endpoint().trouble.fails == nil {
			return false
		}
		left--
		return left < 0
	}))
}

// dissolve takes all out of the line.
func (o *Origin) dissolve() {
	for !o.line.Empty() {
		o.line.First().Value.endpoint().trouble.unqueue()
	}
	for !o.last.Empty() {
		o.last.First().Value.endpoint().trouble.unqueue()
	}
}

// candidate is who may be tried.
type candidate struct {
	Member
	oldest moment.Moment
}

// untried are those with mail that wait for the origin, or stay away from it, and have not
// been tried in this round. Those that are only asked, and those that fail by themselves,
// are not called back for it: they come at the pace of their own back-off.
func (o *Origin) untried() []candidate {
	var out []candidate
	add := func(m Member) {
		if at, waits := m.Oldest(); waits && m.endpoint().trouble.round != o.round {
			out = append(out, candidate{m, at})
		}
	}
	for e := o.room.First(); e != nil; e = e.Next() {
		add(e.Value)
	}
	for m := range o.Failing() {
		if t := m.endpoint().trouble; t.inRoom == nil && !t.own && !o.name.Asks {
			add(m)
		}
	}
	return out
}

// inOrder puts those that fail by themselves last, and of the others the one with the
// oldest mail first.
func inOrder(all []candidate) {
	rank := func(c candidate) int {
		if c.endpoint().trouble.own {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(all, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.oldest, b.oldest))
	})
}

// enlist puts candidates into the line.
func (o *Origin) enlist(all []candidate) {
	inOrder(all)
	for _, one := range all {
		one.endpoint().trouble.queue(one.Member, o)
	}
}
