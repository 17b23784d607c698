// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package origins

import (
	"time"

	"mailpush.internal/services/listener-worker/internal/transport"
)

const (
	breakAfter  = 20 // failures in a row
	minCoolDown = 5 * time.Second
	maxCoolDown = 5 * time.Minute
)

// State is what a breaker lets through.
type State int

// The states.
const (
	Closed   State = iota // everything
	Open                  // nothing until the cool-down is over
	HalfOpen              // one request at a time, to see
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

// Signal is what an answer says about an origin.
type Signal int

// The signals.
const (
	Works  Signal = iota // it has accepted something
	Fails                // it may be the origin that is out of order
	Busy                 // one endpoint has asked for a pause
	Speaks               // one endpoint will not have something; the origin is there
)

// SignalOf judges the result of a request that was made.
func SignalOf(result transport.Result) Signal {
	switch result.Class {
	case transport.OK:
		return Works
	case transport.PermanentItem, transport.Gone:
		return Speaks
	case transport.Retry:
		if result.After > 0 {
			return Busy
		}
	case transport.Misconfigured:
		if !result.Unanswered {
			return Speaks
		}
	case transport.Auth:
	}
	return Fails
}

// Suspicious tells whether the origin may be at fault when so many of its endpoints
// failed when they were asked last.
func Suspicious(failing, endpoints int) bool {
	const several = 3
	return failing >= min(several, endpoints)
}

// Breaker is what is known of one origin. The zero value is closed.
type Breaker struct {
	state    State
	failures int           // in a row
	coolDown time.Duration // the last one; zero when closed
	until    time.Time     // the end of the cool-down
}

// State is what it lets through now.
func (b *Breaker) State() State { return b.state }

// CoolDown is how long the last cool-down is at most; zero when closed.
func (b *Breaker) CoolDown() time.Duration { return b.coolDown }

// Until is the end of the cool-down, when Tick is to be called.
func (b *Breaker) Until() time.Time { return b.until }

// Limit is how many requests may be out at once where usual is the limit otherwise.
func (b *Breaker) Limit(usual int) int {
	switch b.state {
	case Open:
		return 0
	case HalfOpen:
		return 1
	case Closed:
	}
	return usual
}

// Result takes in an answer and returns whether the state has changed. It opens only
// when as many endpoints fail as Suspicious says: one by itself may be at fault. draw is
// from [0, 1), for the jitter.
func (b *Breaker) Result(s Signal, suspicious bool, now time.Time, draw float64) bool {
	before := b.state
	switch {
	case s == Works, s == Speaks && b.state == HalfOpen:
		*b = Breaker{}
	case b.state == Open: // an answer to what was sent before it opened
	case s == Fails && b.state == HalfOpen:
		b.open(min(2*b.coolDown, maxCoolDown), now, draw)
	case s == Busy && b.state == HalfOpen:
		b.open(b.coolDown, now, draw)
	case s == Fails:
		if b.failures++; b.failures >= breakAfter && suspicious {
			b.open(minCoolDown, now, draw)
		}
	}
	return b.state != before
}

func (b *Breaker) open(coolDown time.Duration, now time.Time, draw float64) {
	b.state, b.coolDown = Open, coolDown
	b.until = now.Add(coolDown/2 + time.Duration(draw*float64(coolDown/2)))
}

// Tick lets one request through once the cool-down is over. It returns whether the
// state has changed.
func (b *Breaker) Tick(now time.Time) bool {
	if b.state != Open || now.Before(b.until) {
		return false
	}
	b.state = HalfOpen
	return true
}
