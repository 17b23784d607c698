// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package origins knows how the origins of endpoints fare: which endpoints are where,
// which of them fail, and which origins are out of order as a whole, whoever asks. It is
// pure: it is told results and the time.
//
// Invariants: each answer is judged once, by [Set.Answer]; one endpoint by itself takes
// no origin out of order that others use; an origin is never given up, for while its
// breaker is open one request after each cool-down goes to see.
package origins

import (
	"iter"
	"sync/atomic"
	"time"

	"mailpush.internal/services/listener-worker/internal/deliver/internal/fifo"
	"mailpush.internal/services/listener-worker/internal/loop"
	"mailpush.internal/services/listener-worker/internal/transport"
)

// Member is who has an endpoint: it embeds an [Endpoint].
type Member interface{ endpoint() *Endpoint }

// Endpoint is what is known of one endpoint. The zero value is at no origin.
type Endpoint struct {
	origin  *Origin
	failing *fifo.Element[Member] // in the origin's failing, nil when it does not fail
}

func (e *Endpoint) endpoint() *Endpoint { return e }

// Origin is where the endpoint is, nil when it has left.
func (e *Endpoint) Origin() *Origin { return e.origin }

// Origin is what endpoints that fail together have in common, such as scheme, host and
// port of webhooks. Its timer is for the end of a cool-down.
type Origin struct {
	loop.Timer

	name      string
	endpoints int
	retained  int // of those who use it whether or not an endpoint is there
	breaker   Breaker
	failing   fifo.List[Member] // whose last request failed as if the origin were out of order
	since     time.Time         // since when the breaker is not closed; zero when it is
	reason    string            // of the last failure since then
}

// Name is what the origin was joined by.
func (o *Origin) Name() string { return o.name }

// Endpoints is how many endpoints are there.
func (o *Origin) Endpoints() int { return o.endpoints }

// Breaker is the origin's breaker as it stands.
func (o *Origin) Breaker() Breaker { return o.breaker }

// State is what the breaker lets through now.
func (o *Origin) State() State { return o.breaker.state }

// Failing are those whose last request failed as if the origin were out of order.
func (o *Origin) Failing() iter.Seq[Member] {
	return func(yield func(Member) bool) {
		for e := o.failing.First(); e != nil; e = e.Next() {
			if !yield(e.Value) {
				return
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
	byName map[string]*Origin
	ended  func(*Origin)
	states [HalfOpen + 1]atomic.Int64 // how many origins have a breaker so
}

// New makes an empty set. ended is told of origins that are forgotten because nobody is
// there any more: who joins one of that name finds another, of which nothing is known.
func New(ended func(*Origin)) *Set {
	return &Set{byName: make(map[string]*Origin), ended: ended}
}

// Join has a member's endpoint be at the origin of a name, and nowhere else from now on.
// What was known of the endpoint is forgotten.
func (s *Set) Join(m Member, name string) {
	o := s.byName[name]
	if o == nil {
		o = &Origin{name: name}
		s.byName[name] = o
		s.states[Closed].Add(1)
	}
	o.endpoints++ // before it leaves, which may be from here
	s.Leave(m)
	m.endpoint().origin = o
}

// Leave takes in that a member's endpoint is at no origin any more.
func (s *Set) Leave(m Member) {
	e := m.endpoint()
	if o := e.origin; o != nil {
		e.fails(m, false)
		e.origin = nil
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
		s.states[o.State()].Add(-1)
		delete(s.byName, o.name)
		s.ended(o)
	}
}

// Answer takes in what came of a member's request to an origin, which need not be the
// one where its endpoint is by now. It returns whether the origin's breaker has changed.
// draw is from [0, 1), for the jitter.
func (s *Set) Answer(m Member, at *Origin, result transport.Result, now time.Time, draw float64) (changed bool) {
	signal, before := SignalOf(result), at.State()
	if e := m.endpoint(); e.origin == at {
		e.fails(m, signal == Fails)
	}
	changed = at.breaker.Result(signal, Suspicious(at.failing.Len(), at.endpoints), now, draw)
	if changed {
		s.moved(at, before, now)
	}
	if signal == Fails && !at.since.IsZero() {
		at.reason = result.Detail
	}
	return changed
}

// CoolDownOver takes in that an origin's cool-down may be over. It returns whether its
// breaker has changed.
func (s *Set) CoolDownOver(o *Origin, now time.Time) (changed bool) {
	before := o.State()
	if changed = o.breaker.Tick(now); changed {
		s.moved(o, before, now)
	}
	return changed
}

// moved takes in that a breaker has changed.
func (s *Set) moved(o *Origin, before State, now time.Time) {
	s.states[before].Add(-1)
	s.states[o.State()].Add(1)
	switch {
	case o.State() == Closed:
		o.since, o.reason = time.Time{}, ""
	case o.since.IsZero():
		o.since = now
	}
}

// States is how many origins have a breaker in a state.
func (s *Set) States(state State) int64 { return s.states[state].Load() }

// Len is how many origins there are.
func (s *Set) Len() int { return len(s.byName) }

// fails notes whether the last request of the endpoint's member failed as if its origin
// were out of order.
func (e *Endpoint) fails(m Member, fails bool) {
	switch {
	case fails && e.failing == nil:
		e.failing = e.origin.failing.Push(m)
	case !fails && e.failing != nil:
		e.origin.failing.Remove(e.failing)
		e.failing = nil
	}
}
