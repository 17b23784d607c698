// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package turns

import (
	"time"

	"mailpush.internal/services/listener-worker/internal/deliver/internal/origins"
)

// Leave is whether a request may go out.
type Leave int

// The leaves.
const (
	// Granted means now.
	Granted Leave = iota
	// Later means that it waits for room; PopRequest returns it.
	Later
	// Refused means not in this turn: the origin is out of order.
	Refused
)

// Request asks for room at the origin that somebody with the turn has joined, for one
// request after another until the turn is done. Nothing is read in this turn any more.
func (t *Turns) Request(w Waiter) Leave {
	k := w.ticket()
	t.hasRead(k)
	if k.at == k.origin {
		return Granted // it has room since an earlier request
	}
	t.release(k)
	o := k.origin
	switch {
	case o.breaker.State() == origins.Open:
		return Refused
	case o.requests.Empty() && o.out < t.limit(o):
		t.admit(k, o)
		return Granted
	}
	k.at, k.request = o, o.requests.Push(w)
	t.free(o)
	return Later
}

// PopRequest returns the next whose request may go out, nil when there is none.
func (t *Turns) PopRequest() Waiter {
	for !t.freed.Empty() {
		o := t.freed.Pop()
		o.freed = nil
		if o.requests.Empty() || o.out >= t.limit(o) {
			continue
		}
		w := o.requests.Pop()
		k := w.ticket()
		k.request = nil
		t.admit(k, o)
		t.free(o)
		return w
	}
	return nil
}

// TurnAway takes back the room that is waited for at an origin. Whoever waits still has
// the turn.
func (t *Turns) TurnAway(o *Origin) []Waiter {
	var out []Waiter
	for !o.requests.Empty() {
		w := o.requests.First().Value
		t.release(w.ticket())
		out = append(out, w)
	}
	return out
}

// Judge takes in what an answer to a request says about the origin it went to. It
// returns that origin, and whether its breaker has changed. draw is from [0, 1), for
// the jitter.
func (t *Turns) Judge(w Waiter, s origins.Signal, now time.Time, draw float64) (o *Origin, changed bool) {
	k := w.ticket()
	o = k.at
	if o == k.origin {
		k.ail(w, s == origins.Fails)
	}
	changed = o.breaker.Result(s, origins.Suspicious(o.ailing.Len(), o.waiters), now, draw)
	if changed {
		t.changed(o)
	}
	return o, changed
}

// Tick takes in that an origin's cool-down may be over. It returns whether its breaker
// has changed.
func (t *Turns) Tick(o *Origin, now time.Time) bool {
	if !o.breaker.Tick(now) {
		return false
	}
	t.changed(o)
	return true
}

// limit is how many requests may be out at an origin.
func (t *Turns) limit(o *Origin) int { return o.breaker.Limit(t.limits.Origin) }

func (t *Turns) admit(k *Ticket, o *Origin) {
	o.out++
	k.at = o
}

// release gives back the room at an origin that a ticket has or waits for.
func (t *Turns) release(k *Ticket) {
	o := k.at
	if o == nil {
		return
	}
	if k.request != nil {
		o.requests.Remove(k.request)
		k.request = nil
	} else {
		o.out--
	}
	k.at = nil
	t.free(o)
	t.wake(o)
	t.forgetOrigin(o)
}

// free notes when an origin has room for a request that waits.
func (t *Turns) free(o *Origin) {
	if o.freed == nil && !o.requests.Empty() && o.out < t.limit(o) {
		o.freed = t.freed.Push(o)
	}
}
