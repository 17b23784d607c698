// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deliver

import (
	"context"
	"time"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/pkg/secret"
	"mailpush.internal/services/listener-worker/internal/pump"
)

// send starts a lane's request.
func (l *Loop) send(lane *lane, batch pump.Batch) {
	ctx, cancel := context.WithCancel(l.ctx)
	lane.cancel = cancel
	version := lane.subscription.GetSecretVersion()
	push := Push{
		Subscription: lane.subscription.GetId(),
		URL:          lane.subscription.GetWebhookUrl(),
		Secret:       lane.secret,
		Content:      lane.subscription.GetContent(),
		User:         lane.box.user,
		Folder:       lane.folder,
		Batch:        batch,
	}
	claim := lane.box.claim
	l.work.Go(func() {
		defer cancel()
		key, result := l.request(ctx, claim, push)
		l.post(func() { l.sent(lane, key, version, result) }) //nolint:contextcheck // ctx ends with this request
	})
}

// request opens the signing secret when it is not at hand and sends, if the right to
// act allows it. It runs beside the loop.
func (l *Loop) request(ctx context.Context, claim Claim, push Push) (secret.String, pump.Result) {
	if push.Secret.IsZero() {
		key, err := l.secrets.SigningSecret(ctx, push.User, push.Subscription)
		if err != nil {
			return key, unopened(err)
		}
		push.Secret = key
	}
	if held, err := l.gate.pass(ctx, claim); err != nil || !held {
		if err == nil {
			l.post(func() { l.fenced([]Claim{claim}) }) //nolint:contextcheck // it outlives this request
		}
		return push.Secret, unsent()
	}
	if push.Batch.Attempt == 1 {
		l.metrics.sent(time.Since(push.Batch.Noticed))
	}
	return push.Secret, l.transport.Send(ctx, push)
}

// unopened classifies a signing secret that could not be had.
func unopened(err error) pump.Result {
	if fault.KindOf(err) == fault.NotFound {
		return pump.Result{Class: pump.Misconfigured, Detail: "no signing secret is stored"}
	}
	return pump.Result{Class: pump.Retry, Detail: "opening the signing secret: " + err.Error()}
}

// unsent is the result of a request that was not made, because its mailbox is not
// ours any more. Who asked for it is gone, or waits for it to end in a drain.
func unsent() pump.Result {
	return pump.Result{Class: pump.Retry, Detail: "the shard is held by another worker"}
}

// sent takes in the answer to a lane's request.
func (l *Loop) sent(lane *lane, key secret.String, version uint64, result pump.Result) {
	l.metrics.result(result.Class)
	lane.cancel = nil
	if lane.gone && lane.drain == nil {
		l.turns.done(lane)
		return
	}
	lane.keep(key, version)
	if result.Class != pump.OK {
		l.cfg.Log.WarnContext(l.ctx, "push was not accepted", "class", result.Class.String(),
			"context_id", lane.box.user.Context, "user_id", lane.box.user.ID,
			"subscription_id", lane.subscription.GetId(), "reason", result.Detail)
	}
	l.step(lane, pump.Sent{Result: result})
	if lane.drain != nil {
		l.drained(lane)
	}
}
