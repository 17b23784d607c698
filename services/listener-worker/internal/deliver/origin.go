// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deliver

import (
	"time"

	"mailpush.internal/services/listener-worker/internal/deliver/internal/origins"
	"mailpush.internal/services/listener-worker/internal/deliver/pump"
	"mailpush.internal/services/listener-worker/internal/transport"
)

const (
	// awakeWithin is the time over which those are spread who try again once an origin
	// works: it has just come back.
	awakeWithin = 3 * time.Second
	// outageEvery is how old an outage is when pumps are told of it, and how often they
	// are after that.
	outageEvery = time.Minute
)

// originName names a target's origin. Two transports never share one.
func originName(target transport.Target, via transport.Transport) string {
	return string(target.Kind) + " " + via.Origin(target)
}

// join has a lane's endpoint be where its target is now. If the lane waits for a turn, it
// does so there.
func (l *Loop) join(lane *lane) {
	waited := l.turns.Remove(lane)
	l.origins.Join(lane, originName(lane.subscription.Target, lane.via))
	if waited {
		l.turns.Wait(lane, lane.box.user.Context, lane.box.store, lane.Origin())
	}
}

// judge takes in what an answer to a lane says about the origin it was sent to.
func (l *Loop) judge(lane *lane, result transport.Result) {
	o := lane.RequestedAt()
	if l.origins.Answer(lane, o, result, time.Now(), l.policy.Random()) {
		l.originChanged(o)
	}
}

// originChanged takes in that an origin's breaker is in another state.
func (l *Loop) originChanged(o *origins.Origin) {
	l.turns.Changed(o)
	breaker := o.Breaker()
	switch o.State() {
	case origins.Open:
		l.cfg.Log.WarnContext(l.ctx, "an origin fails, its endpoints wait", "origin", o.Name(),
			"lanes", o.Endpoints(), "cool_down", breaker.CoolDown())
		l.timers.Set(o, breaker.Until())
		l.noteOutage(o)
		for _, w := range l.turns.TurnAway(o) {
			if lane, waits := w.(*lane); waits {
				l.postpone(lane)
			}
		}
	case origins.Closed:
		l.cfg.Log.InfoContext(l.ctx, "an origin works again", "origin", o.Name(), "lanes", o.Endpoints())
		l.outageOver(o)
		l.awaken(o)
	case origins.HalfOpen:
	}
}

// awaken has the lanes that stay away from an origin try again, spread over a while.
func (l *Loop) awaken(o *origins.Origin) {
	now := time.Now()
	for member := range o.Failing() {
		at := now.Add(time.Duration(l.policy.Random() * float64(awakeWithin)))
		if lane, _ := member.(*lane); lane.Waits() && at.Before(lane.Due()) {
			lane.awake = true
			l.timers.Set(lane, at)
		}
	}
}

// noteOutage remembers an origin that is out of order.
func (l *Loop) noteOutage(o *origins.Origin) {
	if len(l.outages) == 0 {
		l.outagesTold = time.Now()
	}
	l.outages[o] = true
}

// outageOver forgets an outage, if there is one: the origin works, or is not used.
func (l *Loop) outageOver(o *origins.Origin) {
	l.timers.Remove(o)
	delete(l.outages, o)
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
		if lasts, reason := lane.Origin().Outage(now); lasts >= outageEvery {
			l.step(lane, pump.Barred{Reason: "its origin fails: " + reason})
		}
	}
}
