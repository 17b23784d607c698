// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package origins

import "time"

const (
	breakAfter  = 20 // failures in a row
	inVain      = 4  // failures that one counts for by which nobody was reached: it leaves no doubt
	minCoolDown = 5 * time.Second
	maxCoolDown = 5 * time.Minute
	// apart is how far apart failures are that do not belong to one outage: longer than the
	// back-off of an endpoint.
	apart = 30 * time.Minute
	// coolDownPart is how many cool-downs an outage is long: what has lasted for long is
	// looked at less often, and what is over costs a small part of it.
	coolDownPart = 8
)

// State is what a breaker lets through.
type State int

// The states.
const (
	Closed   State = iota // everything
	Open                  // nothing until the cool-down is over
	HalfOpen              // probes, few at a time, to see
)

// String is the state as a metric label.
func (s State) String() string {
	switch s {
	case Closed:
		return "closed"
	case Open:
		return "open"
	case HalfOpen:
		return "half_open"
	default:
		return "unknown"
	}
}

// Breaker is what is known of one origin. The zero value is closed.
type Breaker struct {
	state    State
	failures int       // in a row, each as many as it counts for
	first    time.Time // when the first of them was, of those that belong together
	last     time.Time // and the last
	until    time.Time // the end of the cool-down; when half open, the next look
}

// State is what it lets through now.
func (b *Breaker) State() State { return b.state }

// Until is when Tick is to be called, unless it is closed.
func (b *Breaker) Until() time.Time { return b.until }

// CoolDown is how long a cool-down that begins now lasts at most.
func (b *Breaker) CoolDown(now time.Time) time.Duration {
	return min(max(now.Sub(b.first)/coolDownPart, minCoolDown), maxCoolDown)
}

// Result takes in an answer and returns whether the state has changed. It opens only
// when as many endpoints fail as Suspicious says: one by itself may be at fault. draw is
// from [0, 1), for the jitter.
func (b *Breaker) Result(s Signal, suspicious bool, now time.Time, draw float64) bool {
	before := b.state
	failed := s == Unreached || s == Fails
	switch {
	case s == Works:
		*b = Breaker{}
	case s == Unreached && b.state == HalfOpen:
		b.open(now, draw)
	case failed && b.state == Closed:
		if b.failures == 0 || now.Sub(b.last) > apart {
			b.first = now
		}
		b.last = now
		if s == Unreached {
			b.failures += inVain
		} else {
			b.failures++
		}
		if b.failures >= breakAfter && suspicious {
			b.open(now, draw)
		}
	}
	return b.state != before
}

// Spent takes in that as many probes have failed as a look has: it opens again.
func (b *Breaker) Spent(now time.Time, draw float64) { b.open(now, draw) }

func (b *Breaker) open(now time.Time, draw float64) {
	b.state = Open
	b.cool(now, draw)
}

func (b *Breaker) cool(now time.Time, draw float64) {
	half := b.CoolDown(now) / 2
	b.until = now.Add(half + time.Duration(draw*float64(half)))
}

// hurry ends the cool-down: the origin has answered.
func (b *Breaker) hurry(now time.Time) {
	if b.state == Open {
		b.until = now
	}
}

// Tick begins a look at the origin once the cool-down is over, and tells whether one has
// begun: probes are let through from now on.
func (b *Breaker) Tick(now time.Time, draw float64) bool {
	if b.state == Closed || now.Before(b.until) {
		return false
	}
	b.state = HalfOpen
	b.cool(now, draw)
	return true
}
