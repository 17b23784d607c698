// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deliver

import (
	"context"
	"time"

	registryv1 "mailpush.internal/proto/gen/mailpush/registry/v1"
	"mailpush.internal/services/listener-worker/internal/listen"
	"mailpush.internal/services/listener-worker/internal/pump"
)

// Test sends one push that announces no mail and returns what the endpoint answered.
// It needs no claim and no turn: it changes nothing and somebody waits for it.
func (l *Loop) Test(ctx context.Context, user listen.User, subscription *registryv1.Subscription) pump.Result {
	opened, err := openKey(ctx, l.secrets, user, subscription)
	if err != nil {
		return unopened(err)
	}
	return l.transport.Test(ctx, Push{
		Subscription: subscription.GetId(),
		URL:          subscription.GetWebhookUrl(),
		Secret:       opened.at(time.Now()),
		User:         user,
	})
}
