// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deliver

import (
	"context"
	"time"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/deliver/internal/fifo"
	"mailpush.internal/services/listener-worker/internal/deliver/internal/origins"
	"mailpush.internal/services/listener-worker/internal/deliver/internal/turns"
	"mailpush.internal/services/listener-worker/internal/deliver/pump"
	"mailpush.internal/services/listener-worker/internal/loop"
	"mailpush.internal/services/listener-worker/internal/mailbox"
	"mailpush.internal/services/listener-worker/internal/moment"
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
	content      mailv1.Content // of the turn it has, or had last

	turns.Ticket
	origins.Endpoint

	behind   *fifo.Element[*lane] // in the backlog, nil when nothing is pending
	since    moment.Moment        // when the oldest of what is was noticed
	lag      uint32               // how many UIDs are
	consents bool                 // the endpoint has said that it wants them

	gone    bool               // removed; what is in flight may still come back
	awake   bool               // the timer is to tell that the origin works
	drain   *drain             // who waits for what is in flight, when it is removed gently
	request *request           // waits for room at the origin; nil when none does
	cancel  context.CancelFunc // cuts off the request in flight; nil without one

	loop.Timer               // at tick, or earlier to be told that the origin works
	tick       moment.Moment // when the pump wants to be told the time
}

// addLane makes a lane that goes on at a cursor. Where this worker has no transport for
// the target, the subscription waits at its cursor for one that has.
func (l *Loop) addLane(b *box, folder string, head pump.Head, subscription *transport.Subscription) {
	via := l.transports[subscription.Target.Kind]
	if via == nil {
		l.cfg.Log.WarnContext(l.ctx, "a subscription cannot be served, this worker has no transport of its kind",
			"context_id", b.user.Context, "user_id", b.user.ID, "subscription_id", subscription.ID, "transport", subscription.Target.Kind)
		return
	}
	cursor := l.commit.latest(row{b.claim, subscription.ID, folder}, subscription)
	lane := &lane{
		box: b, folder: folder, subscription: subscription, via: via,
		pump:    pump.New(l.policy, cursor, optionsOf(subscription, via)),
		content: subscription.Content,
	}
	l.join(lane)
	if b.late[subscription.ID] {
		l.press(lane)
	}
	b.lanes = append(b.lanes, lane)
	l.prefetch.push(lane)
	l.step(lane, head)
}

// turn lets a lane read and send. What it tells of its mails stays the same until the turn
// ends, for it was read for that.
func (l *Loop) turn(lane *lane) {
	lane.content = lane.subscription.Content
	l.step(lane, pump.Turn{})
}

// detail is how much of each mail a lane needs to be read.
func (lane *lane) detail() mailbox.Detail { return transport.DetailOf(lane.content) }

func optionsOf(subscription *transport.Subscription, via transport.Transport) pump.Options {
	out := pump.Options{Mode: subscription.Mode, Confirmed: subscription.Confirmed || !via.Asks()}
	if subscription.FailingSince != 0 {
		out.FailingSince = time.Unix(0, subscription.FailingSince)
	}
	if subscription.AbsentSince != 0 {
		out.Absence = pump.Absence{Since: time.Unix(0, subscription.AbsentSince), Last: time.Unix(0, subscription.AbsentSeen)}
	}
	return out
}

// remove takes a lane out. A request in flight is cut off, unless a drain waits for it.
func (l *Loop) remove(lane *lane) {
	lane.gone = true
	l.timers.Remove(lane)
	l.prefetch.remove(lane)
	l.turns.Remove(lane)
	at := lane.Origin()
	l.origins.Leave(lane)
	l.lookOn(at)
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
		l.settle(lane)
		l.press(lane)
	}
}

// renewed tells whether what was learned of the endpoint does not count any more.
func renewed(lane *lane, old *transport.Subscription) bool {
	subscription := lane.subscription
	return subscription.Revision > old.Revision ||
		subscription.Target != old.Target ||
		subscription.SecretVersion != old.SecretVersion ||
		subscription.Confirmed && !lane.pump.Confirmed()
}
