// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deliver

import (
	"context"
	"time"

	"mailpush.internal/pkg/fault"
	registryv1 "mailpush.internal/proto/gen/mailpush/registry/v1"
	"mailpush.internal/services/listener-worker/internal/pump"
	"mailpush.internal/services/listener-worker/internal/turns"
)

// request is one request to an endpoint, and what came of it.
type request struct {
	claim        Claim
	subscription *registryv1.Subscription
	push         Push
	ping         bool // it asks for consent, and announces nothing

	key    key
	made   bool // the endpoint, not the vault or the registry, gave the result
	result pump.Result
}

// send makes a lane's request, a batch or a ping without one, when its origin has room.
func (l *Loop) send(lane *lane, batch pump.Batch, ping bool) {
	if lane.gone { // a drain begins nothing new
		l.turns.Done(lane)
		return
	}
	lane.request = &request{
		subscription: lane.subscription, ping: ping,
		push: Push{
			Subscription: lane.subscription.GetId(),
			URL:          lane.subscription.GetWebhookUrl(),
			Content:      lane.subscription.GetContent(),
			User:         lane.box.user,
			Folder:       lane.folder,
			Batch:        batch,
		},
	}
	switch l.turns.Request(lane) {
	case turns.Granted:
		l.start(lane)
	case turns.Later:
	case turns.Refused:
		l.postpone(lane)
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
		l.post(func() { l.answered(lane, r) }) //nolint:contextcheck // ctx ends with this request
	})
}

// perform opens the signing secret when it is not at hand and makes the request, if
// the right to act allows it. It runs beside the loop.
func (l *Loop) perform(ctx context.Context, r *request) {
	if !r.key.opened() {
		var err error
		if r.key, err = openKey(ctx, l.secrets, r.push.User, r.subscription); err != nil {
			r.key, r.result = key{}, unopened(err)
			return
		}
	}
	if held, err := l.gate.Pass(ctx, r.claim); err != nil || !held {
		if err == nil {
			l.post(func() { l.fenced([]Claim{r.claim}) }) //nolint:contextcheck // it outlives this request
		}
		r.result = unsent()
		return
	}
	r.push.Secret = r.key.at(time.Now())
	r.made = true
	if r.ping {
		r.result = l.transport.Ping(ctx, r.push)
		return
	}
	if r.push.Batch.Attempt == 1 {
		l.metrics.sent(time.Since(r.push.Batch.Noticed))
	}
	r.result = l.transport.Send(ctx, r.push)
}

// unopened classifies a signing secret that could not be had.
func unopened(err error) pump.Result {
	if fault.KindOf(err) == fault.NotFound {
		return pump.Result{Class: pump.Misconfigured, Detail: "no signing secret is stored"}
	}
	return pump.Result{Class: pump.Retry, Unmade: true, Detail: "opening the signing secret: " + err.Error()}
}

// unsent is the result of a request that was not made, because its mailbox is not
// ours any more. Who asked for it is gone, or waits for it to end in a drain.
func unsent() pump.Result {
	return pump.Result{Class: pump.Retry, Unmade: true, Detail: "the shard is held by another worker"}
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
	if r.result.Class != pump.OK {
		l.cfg.Log.WarnContext(l.ctx, "push was not accepted", "class", r.result.Class.String(), "ping", r.ping,
			"context_id", lane.box.user.Context, "user_id", lane.box.user.ID,
			"subscription_id", lane.subscription.GetId(), "reason", r.result.Detail)
	}
	if r.made {
		l.judge(lane, r.result)
	}
	if r.ping {
		l.step(lane, pump.Pinged{Result: r.result})
	} else {
		l.step(lane, pump.Sent{Result: r.result})
	}
	if lane.drain != nil {
		l.drained(lane)
	}
}
