// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deliver

import (
	"context"
	"net/url"
	"time"

	"mailpush.internal/pkg/secret"
	registryv1 "mailpush.internal/proto/gen/mailpush/registry/v1"
	"mailpush.internal/services/listener-worker/internal/pump"
)

// lane is one pump with its endpoint: a subscription's way through one folder.
type lane struct {
	box          *box
	folder       string
	subscription *registryv1.Subscription
	origin       string
	secret       secret.String // zero until opened
	pump         *pump.Pump

	hasTurn bool
	turnAt  *origin            // where it waits or has its turn
	gone    bool               // removed; what is in flight may still come back
	drain   *drain             // who waits for what is in flight, when it is removed gently
	cancel  context.CancelFunc // cuts off the request in flight; nil without one

	due   time.Time // of the timer; see timers
	index int       // in timers, -1 without one
}

func newLane(box *box, folder string, subscription *registryv1.Subscription, p *pump.Pump) *lane {
	return &lane{
		box: box, folder: folder, subscription: subscription, pump: p,
		origin: originOf(subscription.GetWebhookUrl()), index: -1,
	}
}

// keep remembers an opened secret, unless there is a newer one to open by now.
func (lane *lane) keep(key secret.String, version uint64) {
	if !key.IsZero() && lane.subscription.GetSecretVersion() == version {
		lane.secret = key
	}
}

// originOf is scheme, host and port of a URL: what fails together.
func originOf(raw string) string {
	target, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	return target.Scheme + "://" + target.Host
}

// step tells a lane's pump of an event and carries out what it decides.
func (l *Loop) step(lane *lane, event pump.Event) {
	for _, effect := range lane.pump.Step(event, time.Now()) {
		switch effect := effect.(type) {
		case pump.Ready:
			if !lane.gone {
				l.turns.push(lane)
			}
		case pump.Fetch:
			l.fetch(lane.box, effect.From)
		case pump.Send:
			if lane.gone { // a drain begins nothing new
				l.turns.done(lane)
				break
			}
			l.send(lane, effect.Batch)
		case pump.Commit:
			l.addCursor(lane, effect.Cursor)
		case pump.Done:
			l.turns.done(lane)
		case pump.Wait:
			if !lane.gone {
				l.timers.set(lane, effect.Until)
			}
		}
	}
}

// remove takes a lane out. A request in flight is cut off, unless a drain waits for it.
func (l *Loop) remove(lane *lane) {
	lane.gone = true
	l.timers.remove(lane)
	l.prefetch.remove(lane)
	switch {
	case lane.pump.InFlight() && lane.drain == nil:
		lane.cancel() // its turn comes back with it
	case !lane.pump.InFlight() && lane.hasTurn:
		l.turns.done(lane)
	}
}

// replace takes in what the registry now says of a lane's subscription.
func (l *Loop) replace(lane *lane, subscription *registryv1.Subscription) {
	old := lane.subscription
	lane.subscription = subscription
	if old.GetWebhookUrl() == subscription.GetWebhookUrl() && old.GetSecretVersion() == subscription.GetSecretVersion() {
		return
	}
	if old.GetSecretVersion() != subscription.GetSecretVersion() {
		lane.secret = secret.String{}
		l.prefetch.push(lane)
	}
	lane.origin = originOf(subscription.GetWebhookUrl())
	l.step(lane, pump.Renewed{Confirmed: true})
}
