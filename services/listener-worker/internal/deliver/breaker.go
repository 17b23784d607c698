// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deliver

import (
	"time"

	"mailpush.internal/services/listener-worker/internal/pump"
)

const (
	breakAfter  = 20 // failures in a row
	minCoolDown = 5 * time.Second
	maxCoolDown = 5 * time.Minute
)

// breakerState is what a breaker lets through.
type breakerState int

// The states.
const (
	closed   breakerState = iota // everything
	open                         // nothing until the cool-down is over
	halfOpen                     // one request at a time, to see
)

// String is the state as a metric label.
func (s breakerState) String() string {
	switch s {
	case closed:
		return "closed"
	case open:
		return "open"
	case halfOpen:
		return "half_open"
	default:
		return "unknown"
	}
}

// verdict is what an answer says about an origin.
type verdict int

// The verdicts.
const (
	works  verdict = iota // it has accepted something
	fails                 // it may be the origin that is out of order
	busy                  // one endpoint has asked for a pause
	speaks                // one endpoint will not have something; the origin is there
)

// verdictOf judges the result of a request that was made.
func verdictOf(result pump.Result) verdict {
	switch result.Class {
	case pump.OK:
		return works
	case pump.PermanentItem, pump.Gone:
		return speaks
	case pump.Retry:
		if result.After > 0 {
			return busy
		}
	case pump.Misconfigured:
		if !result.Unanswered {
			return speaks
		}
	case pump.Auth:
	}
	return fails
}

// breaker spares an origin that fails whoever asks. It is pure: it is told results and
// the time. It never gives up: while it is open one request after each cool-down goes
// to see. The zero value is closed.
type breaker struct {
	state    breakerState
	failures int           // in a row
	coolDown time.Duration // the last one; zero when closed
	until    time.Time     // the end of the cool-down
}

// limit is how many requests may be out at once where usual is the limit otherwise.
func (b *breaker) limit(usual int) int {
	switch b.state {
	case open:
		return 0
	case halfOpen:
		return 1
	case closed:
	}
	return usual
}

// result takes in an answer and returns whether the state has changed. draw is from
// [0, 1), for the jitter.
func (b *breaker) result(v verdict, now time.Time, draw float64) bool {
	before := b.state
	switch {
	case v == works, v == speaks && b.state == halfOpen:
		*b = breaker{}
	case b.state == open: // an answer to what was sent before it opened
	case v == fails && b.state == halfOpen:
		b.open(min(2*b.coolDown, maxCoolDown), now, draw)
	case v == busy && b.state == halfOpen:
		b.open(b.coolDown, now, draw)
	case v == fails:
		if b.failures++; b.failures >= breakAfter {
			b.open(minCoolDown, now, draw)
		}
	}
	return b.state != before
}

func (b *breaker) open(coolDown time.Duration, now time.Time, draw float64) {
	b.state, b.coolDown = open, coolDown
	b.until = now.Add(coolDown/2 + time.Duration(draw*float64(coolDown/2)))
}

// tick lets one request through once the cool-down is over. It returns whether the
// state has changed.
func (b *breaker) tick(now time.Time) bool {
	if b.state != open || now.Before(b.until) {
		return false
	}
	b.state = halfOpen
	return true
}
