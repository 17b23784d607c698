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
	l.work.Go(func() {
		defer cancel()
		key, result := l.request(ctx, push)
		l.post(func() { l.sent(lane, key, version, result) }) //nolint:contextcheck // ctx ends with this request
	})
}

// request opens the signing secret when it is not at hand and sends. It runs beside
// the loop.
func (l *Loop) request(ctx context.Context, push Push) (secret.String, pump.Result) {
	if push.Secret.IsZero() {
		key, err := l.secrets.SigningSecret(ctx, push.User, push.Subscription)
		if err != nil {
			return key, unopened(err)
		}
		push.Secret = key
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
