// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deliver

import (
	"time"

	"mailpush.internal/services/listener-worker/internal/deliver/internal/origins"
	"mailpush.internal/services/listener-worker/internal/deliver/pump"
	"mailpush.internal/services/listener-worker/internal/loop"
	"mailpush.internal/services/listener-worker/internal/moment"
)

// wait gives a lane its timer.
func (l *Loop) wait(lane *lane, until time.Time) {
	if lane.gone {
		return
	}
	lane.awake, lane.tick = false, moment.Of(until)
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
			l.timers.Set(of, of.tick.Time(now))
		}
	case *origins.Origin:
		if l.origins.Tick(of, now, l.policy.Random()) {
			l.originChanged(of)
		}
		l.look(of)
	}
}
