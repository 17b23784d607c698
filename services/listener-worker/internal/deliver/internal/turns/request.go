// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package turns

import "mailpush.internal/services/listener-worker/internal/deliver/internal/origins"

// Admission is whether a request may go out.
type Admission int

// The admissions.
const (
	// Granted means now.
	Granted Admission = iota
	// Later means that it waits for a permit; PopRequest returns it.
	Later
)

// Request asks for a permit at an origin for somebody with the turn, for one request after
// another until the turn is done. Nothing is read in this turn any more.
func (t *Turns) Request(w Waiter, to *origins.Origin) Admission {
	k := w.ticket()
	t.hasRead(k)
	if k.at != nil && k.at.origin == to {
		return Granted // it has a permit since an earlier request
	}
	t.release(k)
	d := t.destination(to)
	if d.requests.Empty() && d.out < t.limit(d) {
		d.admit(k)
		return Granted
	}
	k.at, k.request = d, d.requests.Push(w)
	t.free(d)
	return Later
}

// PopRequest returns the next whose request may go out, nil when there is none.
func (t *Turns) PopRequest() Waiter {
	for !t.freed.Empty() {
		d := t.freed.Pop()
		d.freed = nil
		if d.requests.Empty() || d.out >= t.limit(d) {
			continue
		}
		w := d.requests.Pop()
		k := w.ticket()
		k.request = nil
		d.admit(k)
		t.free(d)
		return w
	}
	return nil
}

// TurnAway takes back the permits that are waited for at an origin. Whoever waits still has
// the turn.
func (t *Turns) TurnAway(o *origins.Origin) []Waiter {
	var out []Waiter
	for d := t.destinations[o]; d != nil && !d.requests.Empty(); {
		w := d.requests.First().Value
		t.release(w.ticket())
		out = append(out, w)
	}
	return out
}

// limit is how many requests may be out at an origin.
func (t *Turns) limit(d *destination) int {
	if d.origin.Name().Asks {
		return t.limits.Questions
	}
	return t.limits.Origin
}

func (d *destination) admit(k *Ticket) {
	d.out++
	k.at = d
}

// release gives back the permit at an origin that a ticket has or waits for.
func (t *Turns) release(k *Ticket) {
	d := k.at
	if d == nil {
		return
	}
	if k.request != nil {
		d.requests.Remove(k.request)
		k.request = nil
	} else {
		d.out--
	}
	k.at = nil
	t.free(d)
	t.unblock(d)
	t.forgetDestination(d)
}

// free notes when an origin has a permit for a request that waits.
func (t *Turns) free(d *destination) {
	if d.freed == nil && !d.requests.Empty() && d.out < t.limit(d) {
		d.freed = t.freed.Push(d)
	}
}
