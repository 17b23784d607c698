// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deliver

import (
	"time"

	"mailpush.internal/services/listener-worker/internal/breaker"
	"mailpush.internal/services/listener-worker/internal/pump"
)

// awakeWithin is the time over which those are spread who try again once an origin
// works: it has just come back.
const awakeWithin = 3 * time.Second

// judge takes in what an answer to a lane says about the origin it was sent to.
func (l *Loop) judge(lane *lane, s breaker.Signal) {
	o := lane.queue.origin
	if o == lane.origin && !lane.gone {
		lane.ail(s == breaker.Fails)
	}
	if o.breaker.Result(s, time.Now(), l.policy.Random()) {
		l.broke(o)
	}
}

// ail notes whether a lane's last request failed as if its origin were out of order.
func (lane *lane) ail(ails bool) {
	switch {
	case ails && lane.ailing == nil:
		lane.ailing = lane.origin.ailing.Push(lane)
	case !ails && lane.ailing != nil:
		lane.origin.ailing.Remove(lane.ailing)
		lane.ailing = nil
	}
}

// broke takes in that an origin's breaker is in another state.
func (l *Loop) broke(o *origin) {
	l.turns.count(o)
	switch o.breaker.State() {
	case breaker.Open:
		l.cfg.Log.WarnContext(l.ctx, "an origin fails, its endpoints wait", "origin", o.name,
			"lanes", o.lanes, "cool_down", o.breaker.CoolDown())
		l.timers.set(o, o.breaker.Until())
	case breaker.Closed:
		l.cfg.Log.InfoContext(l.ctx, "an origin works again", "origin", o.name, "lanes", o.lanes)
		l.awaken(o)
	case breaker.HalfOpen:
	}
	l.turns.wake(o)
}

// awaken has the lanes that stay away from an origin try again, spread over a while.
func (l *Loop) awaken(o *origin) {
	now := time.Now()
	for e := o.ailing.First(); e != nil; e = e.Next() {
		at := now.Add(time.Duration(l.policy.Random() * float64(awakeWithin)))
		if lane := e.Value; lane.waits() && at.Before(lane.due) {
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
	case *origin:
		if of.breaker.Tick(now) {
			l.broke(of)
		}
	}
}
