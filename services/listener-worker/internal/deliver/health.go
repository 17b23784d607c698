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

// judge takes in what an answer to a lane says about the origin it was sent to.
func (l *Loop) judge(lane *lane, result pump.Result) {
	s := breaker.SignalOf(result)
	o, changed := l.turns.Judge(lane, s, time.Now(), l.policy.Random())
	if changed {
		l.broke(o)
	}
	if out := l.outages[o]; out != nil && s == breaker.Fails {
		out.reason = result.Detail
	}
}

// broke takes in that an origin's breaker is in another state.
func (l *Loop) broke(o *turns.Origin) {
	b := o.Breaker()
	switch b.State() {
	case breaker.Open:
		l.cfg.Log.WarnContext(l.ctx, "an origin fails, its endpoints wait", "origin", o.Name(),
			"lanes", o.Waiters(), "cool_down", b.CoolDown())
		l.timers.set(l.outage(o), b.Until())
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
		if !of.gone && !of.waits() { // it waits for something else, whose time may have come
			l.timers.set(of, of.tick)
		}
	case *outage:
		if l.turns.Tick(of.origin, now) {
			l.broke(of.origin)
		}
	}
}
