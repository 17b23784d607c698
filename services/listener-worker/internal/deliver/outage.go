// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deliver

import (
	"time"

	"mailpush.internal/services/listener-worker/internal/deliver/internal/turns"
	"mailpush.internal/services/listener-worker/internal/deliver/pump"
	"mailpush.internal/services/listener-worker/internal/loop"
)

// outageEvery is how old an outage is when it is told, and how often it is after that.
const outageEvery = time.Minute

// outage is what is remembered of an origin while its breaker is not closed.
type outage struct {
	loop.Timer // at the end of a cool-down

	origin *turns.Origin
	since  time.Time
	reason string // of the last failure
}

// outage finds or makes the outage of an origin.
func (l *Loop) outage(o *turns.Origin) *outage {
	out := l.outages[o]
	if out == nil {
		out = &outage{origin: o, since: time.Now()}
		if len(l.outages) == 0 {
			l.outagesTold = out.since
		}
		l.outages[o] = out
	}
	return out
}

// outageOver forgets an outage, if there is one: the origin works, or is not used.
func (l *Loop) outageOver(o *turns.Origin) {
	if out := l.outages[o]; out != nil {
		l.timers.Remove(out)
		delete(l.outages, o)
	}
}

// nextOutages is when tellOutages is due.
func (l *Loop) nextOutages() (time.Time, bool) {
	return l.outagesTold.Add(outageEvery), len(l.outages) > 0
}

// tellOutages tells the lanes with something pending that their origin fails. Most of
// them have not been tried and would not know: an origin that many share is asked so
// rarely that it takes days until each has failed by itself.
func (l *Loop) tellOutages(now time.Time) {
	if at, due := l.nextOutages(); !due || now.Before(at) {
		return
	}
	l.outagesTold = now
	for e := l.backlog.lanes.First(); e != nil; {
		lane := e.Value
		e = e.Next() // the step may end this place
		if out := l.outages[lane.Origin()]; out != nil && now.Sub(out.since) >= outageEvery {
			l.step(lane, pump.Barred{Reason: "its origin fails: " + out.reason})
		}
	}
}
