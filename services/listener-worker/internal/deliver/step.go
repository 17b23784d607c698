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
	for _, effect := range lane.pump.Step(event, time.Now()) {
		switch effect := effect.(type) {
		case pump.Ready:
			if !lane.gone {
				l.turns.Wait(lane, lane.box.user.Context, lane.box.store, lane.Origin())
			}
		case pump.Fetch:
			l.fetchFor(lane, effect.From)
		case pump.Ping:
			l.send(lane, transport.Ask, transport.Batch{})
		case pump.Send:
			l.send(lane, transport.Announce, effect.Batch)
		case pump.Skip:
			letters = append(letters, DeadLetter{Skip: effect, At: time.Now()})
		case pump.Commit:
			l.addCursor(lane, effect, letters)
			letters = nil
		case pump.Done:
			l.turns.Done(lane)
		case pump.Wait:
			l.wait(lane, effect.Until)
		case pump.Confirmed:
			l.report(lane, EndpointReport{Outcome: Confirmed})
		case pump.EndpointGone:
			l.report(lane, EndpointReport{Outcome: Gone, Reason: effect.Reason})
		case pump.Failing:
			l.report(lane, EndpointReport{Outcome: Failing, Reason: effect.Reason, Since: effect.Since})
		case pump.Healthy:
			l.report(lane, EndpointReport{Outcome: Healthy})
		}
	}
	l.observe(lane)
}
