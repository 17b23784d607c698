// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deliver

import (
	"context"
	"errors"
	"time"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/pkg/hold"
	"mailpush.internal/services/listener-worker/internal/deliver/internal/turns"
	"mailpush.internal/services/listener-worker/internal/deliver/pump"
	"mailpush.internal/services/listener-worker/internal/transport"
)

// request is one request to an endpoint, and what came of it.
type request struct {
	claim        hold.Claim
	subscription *transport.Subscription
	via          transport.Transport
	push         transport.Push

	key    key
	made   bool // the endpoint, not the vault or the registry, gave the result
	result transport.Result
}

// ping tells whether it asks for consent, and announces nothing.
func (r *request) ping() bool { return r.push.Purpose == transport.Ask }

// send makes a lane's request when its origin has room.
func (l *Loop) send(lane *lane, purpose transport.Purpose, batch transport.Batch) {
	if lane.gone { // a drain begins nothing new
		l.turns.Done(lane)
		return
	}
	lane.request = &request{
		subscription: lane.subscription, via: lane.via,
		push: transport.Push{
			Purpose:      purpose,
			Subscription: lane.subscription.ID,
			Target:       lane.subscription.Target,
			Content:      lane.content,
			User:         lane.box.user,
			Folder:       lane.folder,
			Batch:        batch,
		},
	}
	switch {
	case !lane.Admitted(): // the origin broke meanwhile
		l.postpone(lane)
	case l.turns.Request(lane, lane.Origin()) == turns.Granted:
		l.start(lane)
	}
}

// postpone has a lane whose request has not been made give its turn back.
func (l *Loop) postpone(lane *lane) {
	if lane.request != nil {
		lane.request = nil
		l.step(lane, pump.Postponed{})
	}
}

// start makes a lane's request.
func (l *Loop) start(lane *lane) {
	ctx, cancel := context.WithCancel(l.ctx)
	r := lane.request
	lane.request, lane.cancel = nil, cancel
	r.claim, r.key = lane.box.claim, lane.key
	l.beside(func() {
		defer cancel()
		l.perform(ctx, r)
		l.loop.Post(func() { l.answered(lane, r) }) //nolint:contextcheck // ctx ends with this request
	})
}

// perform opens the signing secret when it is not at hand and makes the request, if
// the right to act allows it. It runs beside the loop.
func (l *Loop) perform(ctx context.Context, r *request) {
	if r.via.Signs() && !r.key.opened() {
		var err error
		if r.key, err = openKey(ctx, l.secrets, r.push.User, r.subscription); err != nil {
			r.key, r.result = key{}, unopened(err)
			return
		}
	}
	if held, err := l.gate.Pass(ctx, r.claim); err != nil || !held {
		if err == nil {
			l.loop.Post(func() { l.fenced([]hold.Claim{r.claim}) }) //nolint:contextcheck // it outlives this request
		}
		r.result = unsent()
		return
	}
	r.push.Secret, r.push.Headers = r.key.at(time.Now()), r.key.headers
	r.made = true
	if r.push.Purpose == transport.Announce && r.push.Batch.Attempt == 1 {
		l.metrics.sent(time.Since(r.push.Batch.Noticed))
	}
	r.result = r.via.Send(ctx, r.push)
}

// unopened classifies a signing secret that could not be had.
func unopened(err error) transport.Result {
	if errors.Is(err, errNoHeaders) {
		return transport.Result{Class: transport.Misconfigured, Detail: err.Error()}
	}
	if fault.KindOf(err) == fault.NotFound {
		return transport.Result{Class: transport.Misconfigured, Detail: "no signing secret is stored"}
	}
	return transport.Result{Class: transport.Retry, Unmade: true, Detail: "opening the signing secret: " + err.Error()}
}

// unsent is the result of a request that was not made, because its mailbox is not
// ours any more. Who asked for it is gone, or waits for it to end in a drain.
func unsent() transport.Result {
	return transport.Result{Class: transport.Retry, Unmade: true, Detail: "the shard is held by another worker"}
}

// answered takes in what came of a lane's request.
func (l *Loop) answered(lane *lane, r *request) {
	l.metrics.answered(r, time.Now())
	lane.cancel = nil
	if lane.gone && lane.drain == nil {
		l.turns.Done(lane)
		return
	}
	lane.keep(r.key, editionOf(r.subscription))
	if r.result.Class != transport.OK {
		l.cfg.Log.WarnContext(l.ctx, "push was not accepted", "class", r.result.Class.String(), "ping", r.ping(),
			"context_id", lane.box.user.Context, "user_id", lane.box.user.ID,
			"subscription_id", lane.subscription.ID, "reason", r.result.Detail)
	}
	at := lane.RequestedAt()
	if r.made {
		l.judge(lane, r.result)
	}
	if r.subscription.Revision == lane.subscription.Revision {
		lane.Settle()
	}
	if r.ping() {
		l.step(lane, pump.Pinged{Result: r.result})
	} else {
		l.step(lane, pump.Sent{Result: r.result})
	}
	l.lookOn(at)
	if lane.drain != nil {
		l.drained(lane)
	}
}
