// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deliver

import (
	"context"
	"time"

	"mailpush.internal/services/listener-worker/internal/mailbox"
	"mailpush.internal/services/listener-worker/internal/transport"
)

// Test sends one push that announces no mail and returns what the endpoint answered.
// It needs no claim and no turn: it changes nothing and somebody waits for it.
func (l *Loop) Test(ctx context.Context, user mailbox.User, subscription *transport.Subscription) transport.Result {
	via := l.transports[subscription.Target.Kind]
	if via == nil {
		return transport.Result{Class: transport.Misconfigured, Detail: "this worker has no transport of its kind"}
	}
	push, err := l.addressed(ctx, via, user, subscription)
	if err != nil {
		return unopened(err)
	}
	push.Purpose = transport.Try
	return via.Send(ctx, push)
}

// addressed is a push to a subscription's endpoint about no mail, with what signs it.
func (l *Loop) addressed(
	ctx context.Context, via transport.Transport, user mailbox.User, subscription *transport.Subscription,
) (transport.Push, error) {
	push := transport.Push{Subscription: subscription.ID, Target: subscription.Target, User: user}
	if via.Signs() {
		opened, err := openKey(ctx, l.secrets, user, subscription)
		if err != nil {
			return push, err
		}
		push.Secret, push.Headers = opened.at(time.Now()), opened.headers
	}
	return push, nil
}
