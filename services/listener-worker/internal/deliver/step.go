// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deliver

import (
	"time"

	"mailpush.internal/services/listener-worker/internal/deliver/pump"
	"mailpush.internal/services/listener-worker/internal/transport"
)

// step tells a lane's pump of an event and carries out what it decides.
func (l *Loop) step(lane *lane, event pump.Event) {
	var letters []DeadLetter // of the commit that follows them
	now := time.Now()
	for _, effect := range lane.pump.Step(event, now) {
		switch effect := effect.(type) {
		case pump.Ready:
			l.ready(lane)
		case pump.Fetch:
			l.fetchFor(lane, effect.From)
		case pump.Ping:
			l.send(lane, transport.Ask, transport.Batch{})
		case pump.Send:
			l.send(lane, transport.Announce, effect.Batch)
		case pump.Skip:
			letters = append(letters, DeadLetter{Skip: effect, At: now})
			l.cfg.Log.WarnContext(l.ctx, "an item is stepped over, its endpoint will not take it", append(about(lane),
				"folder", lane.folder, "uid_validity", effect.UIDValidity, "from", effect.From, "upto", effect.Upto, "reason", effect.Reason)...)
		case pump.Commit:
			l.addCursor(lane, effect, letters)
			l.served(lane.box)
			letters = nil
		case pump.Done:
			l.done(lane)
		case pump.Wait:
			l.wait(lane, effect.Until)
		case pump.Confirmed:
			l.report(lane, EndpointReport{Outcome: Confirmed})
			l.settle(lane)
			l.press(lane) // it has just answered
		case pump.Absent, pump.Present, pump.EndpointGone:
			l.noteGone(lane, effect)
		case pump.Failing:
			l.report(lane, EndpointReport{Outcome: Failing, Reason: effect.Reason, Since: effect.Since, Absence: effect.Absence})
		case pump.Healthy:
			l.report(lane, EndpointReport{Outcome: Healthy})
		}
	}
	l.observe(lane, now)
}
