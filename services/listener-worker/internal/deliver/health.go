// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deliver

import (
	"time"

	"mailpush.internal/services/listener-worker/internal/deliver/internal/origins"
	"mailpush.internal/services/listener-worker/internal/deliver/internal/turns"
	"mailpush.internal/services/listener-worker/internal/deliver/pump"
	"mailpush.internal/services/listener-worker/internal/loop"
	"mailpush.internal/services/listener-worker/internal/transport"
)

// awakeWithin is the time over which those are spread who try again once an origin
// works: it has just come back.
const awakeWithin = 3 * time.Second

// judge takes in what an answer to a lane says about the origin it was sent to.
func (l *Loop) judge(lane *lane, result transport.Result) {
	s := origins.SignalOf(result)
	o, changed := l.turns.Judge(lane, s, time.Now(), l.policy.Random())
	if changed {
		l.broke(o)
	}
	if out := l.outages[o]; out != nil && s == origins.Fails {
		out.reason = result.Detail
	}
}

// broke takes in that an origin's breaker is in another state.
func (l *Loop) broke(o *turns.Origin) {
	b := o.Breaker()
	switch b.State() {
	case origins.Open:
		l.cfg.Log.WarnContext(l.ctx, "an origin fails, its endpoints wait", "origin", o.Name(),
			"lanes", o.Waiters(), "cool_down", b.CoolDown())
		l.timers.Set(l.outage(o), b.Until())
		for _, w := range l.turns.TurnAway(o) {
			if lane, waits := w.(*lane); waits {
				l.postpone(lane)
			}
		}
	case origins.Closed:
		l.cfg.Log.InfoContext(l.ctx, "an origin works again", "origin", o.Name(), "lanes", o.Waiters())
		l.outageOver(o)
		l.awaken(o)
	case origins.HalfOpen:
	}
}

// awaken has the lanes that stay away from an origin try again, spread over a while.
func (l *Loop) awaken(o *turns.Origin) {
	now := time.Now()
	for w := range o.Ailing() {
		at := now.Add(time.Duration(l.policy.Random() * float64(awakeWithin)))
		if lane, _ := w.(*lane); lane.Waits() && at.Before(lane.Due()) {
			lane.awake = true
			l.timers.Set(lane, at)
		}
	}
}

// wait gives a lane its timer.
func (l *Loop) wait(lane *lane, until time.Time) {
	if lane.gone {
		return
	}
	lane.awake, lane.tick = false, until
	l.timers.Set(lane, until)
}

// alarmed tells one whose timer has gone off.
func (l *Loop) alarmed(of loop.Timed, now time.Time) {
	switch of := of.(type) {
	case *lane:
		if !of.awake {
			l.step(of, pump.Tick{})
			return
		}
		of.awake = false
		l.step(of, pump.Awake{})
		if !of.gone && !of.Waits() { // it waits for something else, whose time may have come
			l.timers.Set(of, of.tick)
		}
	case *outage:
		if l.turns.Tick(of.origin, now) {
			l.broke(of.origin)
		}
	}
}
