// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deliver

import (
	"iter"
	"slices"
	"time"

	"mailpush.internal/services/listener-worker/internal/deliver/internal/origins"
	"mailpush.internal/services/listener-worker/internal/deliver/pump"
	"mailpush.internal/services/listener-worker/internal/moment"
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

// itsOrigin begins what is told of an endpoint that waits for its origin.
const itsOrigin = "its origin fails: "

// originOf names the origin of a lane's endpoint. Two transports never share one; endpoints
// that have not consented to pushes have theirs to themselves.
func originOf(lane *lane) origins.Name {
	target := lane.subscription.Target
	return origins.Name{Text: string(target.Kind) + " " + lane.via.Origin(target), Asks: !lane.pump.Confirmed()}
}

// join has a lane's endpoint be where its target is now. If the lane waits for a turn, or
// for its origin, it does so there.
func (l *Loop) join(lane *lane) {
	old, awaited := lane.Origin(), lane.Awaits()
	waited := l.turns.Remove(lane) || awaited
	l.origins.Join(lane, originOf(lane))
	if waited {
		l.ready(lane)
	}
	l.lookOn(old)
}

// settle has a lane's endpoint be where it belongs, if it has consented meanwhile or has to
// be asked again.
func (l *Loop) settle(lane *lane) {
	if !lane.gone && lane.Origin().Name() != originOf(lane) {
		l.join(lane)
	}
}

// judge takes in what an answer to a lane says about the origin it was sent to.
func (l *Loop) judge(lane *lane, result transport.Result) {
	o := lane.RequestedAt()
	verdict := l.origins.Answer(lane, o, result, time.Now(), l.policy.Random())
	if verdict.Moved {
		l.originChanged(o)
	} else {
		l.timers.Set(o, o.Due())
		l.awaken(slices.Values(verdict.Back))
	}
}

// originChanged takes in that an origin's breaker is in another state.
func (l *Loop) originChanged(o *origins.Origin) {
	now, breaker := time.Now(), o.Breaker()
	l.timers.Set(o, o.Due())
	switch o.State() {
	case origins.Open:
		l.cfg.Log.WarnContext(l.ctx, "an origin fails, its endpoints wait", "origin", o.Name().Text, "consented", !o.Name().Asks,
			"lanes", o.Endpoints(), "cool_down", breaker.CoolDown(now))
		l.noteOutage(o)
		l.hold(o)
	case origins.Closed:
		l.cfg.Log.InfoContext(l.ctx, "an origin works again", "origin", o.Name().Text, "consented", !o.Name().Asks, "lanes", o.Endpoints())
		l.outageOver(o)
		for _, m := range l.origins.Clear(o) {
			if lane, waited := m.(*lane); waited {
				l.ready(lane)
			}
		}
		l.awaken(o.Failing())
	case origins.HalfOpen:
	}
}

// awaken has lanes that stay away from an origin try again, spread over a while.
func (l *Loop) awaken(members iter.Seq[origins.Member]) {
	now := time.Now()
	for member := range members {
		at := now.Add(time.Duration(l.policy.Random() * float64(awakeWithin)))
		if lane, _ := member.(*lane); lane.Waits() && moment.Of(at) < lane.Due() {
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
			l.step(lane, pump.Barred{Reason: itsOrigin + reason})
		}
	}
}
