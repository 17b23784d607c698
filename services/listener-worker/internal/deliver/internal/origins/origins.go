// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package origins knows how the origins of endpoints fare: which endpoints are where,
// which of them fail, which origins are out of order as a whole, and which endpoint is
// tried next at one that is. It is pure: it is told results and the time.
//
// Invariants: each answer is judged once, by [Set.Answer]; one endpoint by itself takes
// no origin out of order that others use; an origin is never given up, for while its
// breaker is open probes go round those that wait there after each cool-down, oldest mail
// first, and nobody is tried twice before all have been tried. Endpoints that have not
// consented to pushes are at an origin of their own, whatever its name: they open no
// breaker for those that have, and take none of their probes.
package origins

import (
	"iter"
	"sync/atomic"
	"time"

	"mailpush.internal/services/listener-worker/internal/deliver/internal/fifo"
	"mailpush.internal/services/listener-worker/internal/loop"
	"mailpush.internal/services/listener-worker/internal/transport"
)

// Name is what tells origins apart.
type Name struct {
	// Text is what endpoints have in common that fail together.
	Text string
	// Asks is true for those that have not consented yet, and are only asked.
	Asks bool
}

// Origin is what endpoints that fail together have in common, such as scheme, host and
// port of webhooks. Its timer is for Due.
type Origin struct {
	loop.Timer

	name      Name
	endpoints int
	retained  int // of those who use it whether or not an endpoint is there
	breaker   Breaker
	since     time.Time // since when the breaker is not closed; zero when it is
	reason    string    // of the last failure since then
	works     uint32    // how often something was accepted

	// Those whose last request failed: nobody was reached, it may be the origin, or it
	// is the endpoint for sure.
	unreached, suspects, own fifo.List[Member]

	look       look
	room       fifo.List[Member] // those that wait for the origin
	line, last fifo.List[Member] // those that are tried next in this round, and after them
	round      uint32
	share      int // of the round, that is tried in one look; zero before the first
}

// Name is what the origin was joined by.
func (o *Origin) Name() Name { return o.name }

// Endpoints is how many endpoints are there.
func (o *Origin) Endpoints() int { return o.endpoints }

// Breaker is the origin's breaker as it stands.
func (o *Origin) Breaker() Breaker { return o.breaker }

// State is what the breaker lets through now.
func (o *Origin) State() State { return o.breaker.state }

// Failing are those whose last request failed as if the origin were out of order.
func (o *Origin) Failing() iter.Seq[Member] {
	return func(yield func(Member) bool) {
		for _, list := range []*fifo.List[Member]{&o.unreached, &o.suspects, &o.own} {
			for e := list.First(); e != nil; e = e.Next() {
				if !yield(e.Value) {
					return
				}
			}
		}
	}
}

// Outage tells for how long the origin has been out of order, zero when it is not, and
// what was said last.
func (o *Origin) Outage(now time.Time) (lasts time.Duration, reason string) {
	if o.since.IsZero() {
		return 0, ""
	}
	return now.Sub(o.since), o.reason
}

// Set is all origins of a process. Its methods are not safe for concurrent use, States
// excepted.
type Set struct {
	byName map[Name]*Origin
	ended  func(*Origin)
	states [HalfOpen + 1]atomic.Int64 // how many origins have a breaker so
}

// New makes an empty set. ended is told of origins that are forgotten because nobody is
// there any more: who joins one of that name finds another, of which nothing is known.
func New(ended func(*Origin)) *Set {
	return &Set{byName: make(map[Name]*Origin), ended: ended}
}

// Join has a member's endpoint be at the origin of a name, and nowhere else from now on.
// What was known of the endpoint is forgotten.
func (s *Set) Join(m Member, name Name) {
	o := s.byName[name]
	if o == nil {
		o = &Origin{name: name}
		s.byName[name] = o
		s.count(o, Closed, 1)
	}
	o.endpoints++ // before it leaves, which may be from here
	s.Leave(m)
	m.endpoint().origin = o
}

// Leave takes in that a member's endpoint is at no origin any more.
func (s *Set) Leave(m Member) {
	e := m.endpoint()
	if o := e.origin; o != nil {
		if t := e.trouble; t != nil {
			t.list(m, nil)
			t.unplace(o)
			t.unprobe(o)
		}
		e.origin, e.trouble = nil, nil
		o.endpoints--
		s.forget(o)
	}
}

// Retain has an origin be remembered until Release, whether or not an endpoint is there.
func (s *Set) Retain(o *Origin) { o.retained++ }

// Release ends a Retain.
func (s *Set) Release(o *Origin) {
	o.retained--
	s.forget(o)
}

// forget drops an origin where nobody is.
func (s *Set) forget(o *Origin) {
	if o.endpoints+o.retained == 0 {
		s.count(o, o.State(), -1)
		delete(s.byName, o.name)
		s.ended(o)
	}
}

// count keeps the number of origins by state. Those of endpoints that are only asked are
// no matter of deliveries.
func (s *Set) count(o *Origin, state State, by int64) {
	if !o.name.Asks {
		s.states[state].Add(by)
	}
}

// Verdict is what an answer has changed.
type Verdict struct {
	// Moved is true when the breaker is in another state.
	Moved bool
	// Back are those that could not reach the origin when they were tried last, although
	// the breaker was closed: it answers again.
	Back []Member
}

// Answer takes in what came of a member's request to an origin, which need not be the
// one where its endpoint is by now. draw is from [0, 1), for the jitter.
func (s *Set) Answer(m Member, at *Origin, result transport.Result, now time.Time, draw float64) Verdict {
	signal, before, e := SignalOf(result), at.State(), m.endpoint()
	if e.origin == at {
		if e.trouble != nil {
			e.trouble.unprobe(at)
		}
		e.heard(m, signal)
	}
	if signal == Works {
		at.works++
	}
	failing := at.unreached.Len() + at.suspects.Len()
	moved := at.breaker.Result(signal, Suspicious(failing, at.endpoints), now, draw)
	if !moved && at.State() == HalfOpen && at.look.spent() {
		at.breaker.Spent(now, draw)
		moved = true
	}
	if moved {
		s.moved(at, before, now)
	}
	if (signal == Fails || signal == Unreached) && !at.since.IsZero() {
		at.reason = result.Detail
	}
	if e.origin == at {
		e.relieve()
	}
	return Verdict{Moved: moved, Back: at.answered(signal, now)}
}

// moved takes in that a breaker has changed.
func (s *Set) moved(o *Origin, before State, now time.Time) {
	s.count(o, before, -1)
	s.count(o, o.State(), 1)
	switch {
	case o.State() == Closed:
		o.since, o.reason, o.share, o.look = time.Time{}, "", 0, look{out: o.look.out}
	case o.since.IsZero():
		o.since = now
	}
}

// States is how many origins have a breaker in a state.
func (s *Set) States(state State) int64 { return s.states[state].Load() }

// Len is how many origins there are.
func (s *Set) Len() int { return len(s.byName) }
