// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deliver

import (
	"context"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/services/listener-worker/internal/mailbox"
	"mailpush.internal/services/listener-worker/internal/transport"
)

// maxEndings bounds the pushes that are out at once and say that a subscription ends.
const maxEndings = 64

// End has an endpoint told that its subscription ends. It returns as soon as what signs
// the push is at hand, for that is about to be erased; the push goes out beside, once, and
// nobody waits for it. Unavailable when there are too many of them.
//
// Like Test it needs no claim: the subscription is over, and any worker may say so.
func (l *Loop) End(ctx context.Context, user mailbox.User, subscription *transport.Subscription, reason string) error {
	via := l.transports[subscription.Target.Kind]
	if via == nil {
		return fault.New(fault.Precondition, "this worker has no transport for subscription %s", subscription.ID)
	}
	push, err := l.addressed(ctx, via, user, subscription)
	if err != nil {
		return err
	}
	push.Purpose, push.Reason = transport.End, reason
	select {
	case l.endings <- struct{}{}:
	default:
		return fault.New(fault.Unavailable, "too many endpoints are being told that their subscriptions end")
	}
	l.loop.Post(func() {
		l.beside(func() {
			defer func() { <-l.endings }()
			result := via.Send(l.ctx, push) //nolint:contextcheck // the call that asked for it is over
			l.metrics.endings.WithLabelValues(result.Class.String()).Inc()
			l.cfg.Log.InfoContext(l.ctx, "an endpoint was told that its subscription ends", "context_id", user.Context,
				"user_id", user.ID, "subscription_id", subscription.ID, "class", result.Class.String(), "reason", result.Detail)
		})
	})
	return nil
}
