// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deliver

import (
	"time"

	"mailpush.internal/services/listener-worker/internal/breaker"
	"mailpush.internal/services/listener-worker/internal/pump"
	"mailpush.internal/services/listener-worker/internal/turns"
)

// awakeWithin is the time over which those are spread who try again once an origin
// works: it has just come back.
const awakeWithin = 3 * time.Second

// outage is what is remembered of an origin while its breaker is not closed.
type outage struct {
	alarm // at the end of a cool-down

	origin *turns.Origin
}

// judge takes in what an answer to a lane says about the origin it was sent to.
func (l *Loop) judge(lane *lane, s breaker.Signal) {
	if o, changed := l.turns.Judge(lane, s, time.Now(), l.policy.Random()); changed {
		l.broke(o)
	}
}

// broke takes in that an origin's breaker is in another state.
func (l *Loop) broke(o *turns.Origin) {
	b := o.Breaker()
	switch b.State() {
	case breaker.Open:
		l.cfg.Log.WarnContext(l.ctx, "an origin fails, its endpoints wait", "origin", o.Name(),
			"lanes", o.Waiters(), "cool_down", b.CoolDown())
		out := l.outages[o]
		if out == nil {
			out = &outage{origin: o}
			l.outages[o] = out
		}
		l.timers.set(out, b.Until())
		for _, w := range l.turns.TurnAway(o) {
			if lane, waits := w.(*lane); waits {
				l.postpone(lane)
			}
		}
	case breaker.Closed:
		l.cfg.Log.InfoContext(l.ctx, "an origin works again", "origin", o.Name(), "lanes", o.Waiters())
		l.outageOver(o)
		l.awaken(o)
	case breaker.HalfOpen:
	}
}

// outageOver forgets an outage, if there is one: the origin works, or is not used.
func (l *Loop) outageOver(o *turns.Origin) {
	if out := l.outages[o]; out != nil {
		l.timers.remove(out)
		delete(l.outages, o)
	}
}

// awaken has the lanes that stay away from an origin try again, spread over a while.
func (l *Loop) awaken(o *turns.Origin) {
	now := time.Now()
	for w := range o.Ailing() {
		at := now.Add(time.Duration(l.policy.Random() * float64(awakeWithin)))
		if lane, _ := w.(*lane); lane.waits() && at.Before(lane.due) {
			lane.awake = true
			l.timers.set(lane, at)
		}
	}
}

// wait gives a lane its timer.
func (l *Loop) wait(lane *lane, until time.Time) {
	if lane.gone {
		return
	}
	lane.awake, lane.tick = false, until
	l.timers.set(lane, until)
}

// alarmed tells one whose timer has gone off.
func (l *Loop) alarmed(of timed, now time.Time) {
	switch of := of.(type) {
	case *lane:
		if !of.awake {
			l.step(of, pump.Tick{})
			return
		}
		of.awake = false
		l.step(of, pump.Awake{})
		if !of.gone && !of.waits() && of.tick.After(now) { // it waits for something else
			l.timers.set(of, of.tick)
		}
	case *outage:
		if l.turns.Tick(of.origin, now) {
			l.broke(of.origin)
		}
	}
}
