// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deliver

import (
	"time"

	"mailpush.internal/services/listener-worker/internal/deliver/internal/origins"
	"mailpush.internal/services/listener-worker/internal/deliver/pump"
	"mailpush.internal/services/listener-worker/internal/moment"
)

// Oldest implements [origins.Member]: one that has not consented is to be asked, whether or
// not there is mail for it.
func (lane *lane) Oldest() (at moment.Moment, waits bool) {
	return lane.since, lane.behind != nil || !lane.pump.Confirmed()
}

// ready has a lane wait for its turn; or for its origin, while that is out of order.
func (l *Loop) ready(lane *lane) {
	if lane.gone {
		return
	}
	if lane.Admitted() {
		l.turns.Wait(lane, lane.box.user.Context, lane.box.store, lane.Origin())
		return
	}
	l.observe(lane, time.Now()) // so that its oldest mail is known
	l.origins.Await(lane)
	l.look(lane.Origin())
}

// hold has all who wait for a turn or a permit for an origin wait for the origin.
func (l *Loop) hold(o *origins.Origin) {
	for _, w := range l.turns.Withdraw(o) {
		if lane, waited := w.(*lane); waited {
			l.ready(lane)
		}
	}
	for _, w := range l.turns.TurnAway(o) {
		if lane, waited := w.(*lane); waited {
			l.postpone(lane)
		}
	}
}

// look sends out the probes that may go to see whether an origin works. A lane that stays
// away because of the origin is called back for it.
func (l *Loop) look(o *origins.Origin) {
	for {
		member, waited := l.origins.Probe(o, time.Now())
		lane, _ := member.(*lane)
		switch {
		case lane == nil:
			l.timers.Set(o, o.Due())
			return
		case waited:
			l.ready(lane)
		default:
			l.step(lane, pump.Awake{})
		}
		if !lane.Queued() { // it stays away for another reason
			l.origins.Unprobed(lane)
		}
	}
}

// lookOn goes on with a look at an origin that a lane has left, if others are there.
func (l *Loop) lookOn(o *origins.Origin) {
	if o != nil && o.Endpoints() > 0 {
		l.look(o)
	}
}

// done takes a lane's turn back. If it was to see whether its origin works and has not
// asked it, somebody else is to.
func (l *Loop) done(lane *lane) {
	l.turns.Done(lane)
	if l.origins.Unprobed(lane) {
		l.look(lane.Origin())
	}
}

// press has a lane be tried at once, whatever is known of its origin: somebody who knows
// better has asked for it.
func (l *Loop) press(lane *lane) {
	if !lane.gone && l.origins.Press(lane) {
		l.ready(lane)
	}
}
