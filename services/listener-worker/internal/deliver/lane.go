// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deliver

import (
	"context"
	"time"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	registryv1 "mailpush.internal/proto/gen/mailpush/registry/v1"
	"mailpush.internal/services/listener-worker/internal/fifo"
	"mailpush.internal/services/listener-worker/internal/pump"
	"mailpush.internal/services/listener-worker/internal/turns"
)

// lane is one pump with its endpoint: a subscription's way through one folder.
type lane struct {
	box          *box
	folder       string
	subscription *registryv1.Subscription
	key          key
	pump         *pump.Pump

	turns.Ticket // at the origin where its endpoint is

	behind *fifo.Element[*lane] // in the backlog, nil when nothing is pending
	lag    uint32               // how many UIDs are
	since  time.Time            // when the oldest of them was noticed

	gone    bool               // removed; what is in flight may still come back
	drain   *drain             // who waits for what is in flight, when it is removed gently
	request *request           // waits for room at the origin; nil when none does
	cancel  context.CancelFunc // cuts off the request in flight; nil without one

	alarm           // at tick, or earlier to be told that the origin works
	tick  time.Time // when the pump wants to be told the time
	awake bool
}

// addLane makes a lane that goes on at a cursor.
func (l *Loop) addLane(b *box, folder folder, subscription *registryv1.Subscription, cursor pump.Cursor) {
	lane := &lane{
		box: b, folder: folder.name, subscription: subscription,
		pump: pump.New(l.policy, cursor, optionsOf(subscription)),
	}
	l.turns.Join(lane, originOf(subscription.GetWebhookUrl()))
	b.lanes = append(b.lanes, lane)
	l.prefetch.push(lane)
	l.step(lane, folder.head)
}

func optionsOf(subscription *registryv1.Subscription) pump.Options {
	out := pump.Options{Mode: modeOf(subscription.GetMode()), Confirmed: subscription.GetConfirmed()}
	if since := subscription.GetFailingSince(); since != nil {
		out.FailingSince = since.AsTime()
	}
	return out
}

func modeOf(mode mailv1.Mode) pump.Mode {
	switch mode {
	case mailv1.Mode_MODE_LATEST:
		return pump.ModeLatest
	case mailv1.Mode_MODE_EACH:
		return pump.ModeEach
	case mailv1.Mode_MODE_BATCH, mailv1.Mode_MODE_UNSPECIFIED:
	}
	return pump.ModeBatch
}

// waits tells whether a lane has a timer.
func (lane *lane) waits() bool { return lane.index > 0 }

// remove takes a lane out. A request in flight is cut off, unless a drain waits for it.
func (l *Loop) remove(lane *lane) {
	lane.gone = true
	l.timers.remove(lane)
	l.prefetch.remove(lane)
	l.turns.Remove(lane)
	l.turns.Leave(lane)
	l.caughtUp(lane)
	switch {
	case lane.cancel == nil:
		lane.request = nil
		l.turns.Done(lane)
	case lane.drain == nil:
		lane.cancel() // its turn comes back with it
	}
}

// replace takes in what the registry now says of a lane's subscription.
func (l *Loop) replace(lane *lane, subscription *registryv1.Subscription) {
	old := lane.subscription
	lane.subscription = subscription
	if editionOf(old) != editionOf(subscription) {
		lane.key = key{}
		l.prefetch.push(lane)
	}
	if old.GetWebhookUrl() != subscription.GetWebhookUrl() {
		l.turns.Join(lane, originOf(subscription.GetWebhookUrl()))
	}
	if renewed(lane, old) {
		l.postpone(lane)
		options := optionsOf(subscription)
		l.step(lane, pump.Renewed{Mode: options.Mode, Confirmed: options.Confirmed})
	}
}

// renewed tells whether what was learned of the endpoint does not count any more.
func renewed(lane *lane, old *registryv1.Subscription) bool {
	subscription := lane.subscription
	return subscription.GetRevision() > old.GetRevision() ||
		subscription.GetWebhookUrl() != old.GetWebhookUrl() ||
		subscription.GetSecretVersion() != old.GetSecretVersion() ||
		subscription.GetConfirmed() && lane.pump.Status().State == pump.Unconfirmed
}
