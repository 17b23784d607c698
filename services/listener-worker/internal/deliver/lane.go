// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deliver

import (
	"context"
	"time"

	"mailpush.internal/services/listener-worker/internal/deliver/internal/fifo"
	"mailpush.internal/services/listener-worker/internal/deliver/internal/origins"
	"mailpush.internal/services/listener-worker/internal/deliver/internal/turns"
	"mailpush.internal/services/listener-worker/internal/deliver/pump"
	"mailpush.internal/services/listener-worker/internal/loop"
	"mailpush.internal/services/listener-worker/internal/mailbox"
	"mailpush.internal/services/listener-worker/internal/transport"
)

// lane is one pump with its endpoint: a subscription's way through one folder.
type lane struct {
	box          *box
	folder       string
	subscription *transport.Subscription
	via          transport.Transport
	key          key
	pump         *pump.Pump

	turns.Ticket
	origins.Endpoint

	behind *fifo.Element[*lane] // in the backlog, nil when nothing is pending
	lag    uint32               // how many UIDs are
	since  time.Time            // when the oldest of them was noticed

	gone    bool               // removed; what is in flight may still come back
	drain   *drain             // who waits for what is in flight, when it is removed gently
	request *request           // waits for room at the origin; nil when none does
	cancel  context.CancelFunc // cuts off the request in flight; nil without one

	loop.Timer           // at tick, or earlier to be told that the origin works
	tick       time.Time // when the pump wants to be told the time
	awake      bool
}

// addLane makes a lane that goes on at a cursor. Where this worker has no transport for
// the target, the subscription waits at its cursor for one that has.
func (l *Loop) addLane(b *box, folder folder, subscription *transport.Subscription, cursor mailbox.Cursor) {
	via := l.transports[subscription.Target.Kind]
	if via == nil {
		l.cfg.Log.WarnContext(l.ctx, "a subscription cannot be served, this worker has no transport of its kind",
			"context_id", b.user.Context, "user_id", b.user.ID, "subscription_id", subscription.GetId(), "transport", subscription.Target.Kind)
		return
	}
	lane := &lane{
		box: b, folder: folder.name, subscription: subscription, via: via,
		pump: pump.New(l.policy, cursor, optionsOf(subscription, via)),
	}
	l.join(lane)
	b.lanes = append(b.lanes, lane)
	l.prefetch.push(lane)
	l.step(lane, folder.head)
}

func optionsOf(subscription *transport.Subscription, via transport.Transport) pump.Options {
	out := pump.Options{Mode: subscription.GetMode(), Confirmed: subscription.GetConfirmed() || !via.Asks()}
	if since := subscription.GetFailingSince(); since != nil {
		out.FailingSince = since.AsTime()
	}
	return out
}

// remove takes a lane out. A request in flight is cut off, unless a drain waits for it.
func (l *Loop) remove(lane *lane) {
	lane.gone = true
	l.timers.Remove(lane)
	l.prefetch.remove(lane)
	l.turns.Remove(lane)
	l.origins.Leave(lane)
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
func (l *Loop) replace(lane *lane, subscription *transport.Subscription) {
	old := lane.subscription
	lane.subscription = subscription
	if editionOf(old) != editionOf(subscription) {
		lane.key = key{}
		l.prefetch.push(lane)
	}
	if old.Target != subscription.Target {
		lane.via = l.transports[subscription.Target.Kind]
		l.join(lane)
	}
	if renewed(lane, old) {
		l.postpone(lane)
		options := optionsOf(subscription, lane.via)
		l.step(lane, pump.Renewed{Mode: options.Mode, Confirmed: options.Confirmed})
	}
}

// renewed tells whether what was learned of the endpoint does not count any more.
func renewed(lane *lane, old *transport.Subscription) bool {
	subscription := lane.subscription
	return subscription.GetRevision() > old.GetRevision() ||
		subscription.Target != old.Target ||
		subscription.GetSecretVersion() != old.GetSecretVersion() ||
		subscription.GetConfirmed() && lane.pump.Status().State == pump.Unconfirmed
}
