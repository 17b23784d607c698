// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package transport

import (
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	registryv1 "mailpush.internal/proto/gen/mailpush/registry/v1"
)

// Webhook is the kind of HTTP endpoints.
const Webhook Kind = "webhook"

// Subscription is a place pushes go to: what the registry says of it, and its target.
type Subscription struct {
	*registryv1.Subscription

	// Target is where the pushes go. Its kind is empty when the registry names one that
	// this release does not know.
	Target Target
}

// SubscriptionOf reads a subscription as the registry lists it.
func SubscriptionOf(listed *registryv1.Subscription) *Subscription {
	return &Subscription{listed, TargetOf(listed)}
}

// located is what a message says of where pushes go.
type located interface {
	GetTarget() *mailv1.Target
	GetWebhookUrl() string
}

// TargetOf reads where pushes go. An admin-api of the release before names no target:
// it has webhooks only.
func TargetOf(message located) Target {
	if message.GetTarget() == nil {
		return Target{Webhook, message.GetWebhookUrl()}
	}
	switch kind := message.GetTarget().GetKind().(type) {
	case *mailv1.Target_Webhook:
		return Target{Webhook, kind.Webhook.GetUrl()}
	default:
		return Target{}
	}
}

// SubscriptionsOf reads subscriptions as the registry lists them.
func SubscriptionsOf(listed []*registryv1.Subscription) []*Subscription {
	out := make([]*Subscription, len(listed))
	for i, subscription := range listed {
		out[i] = SubscriptionOf(subscription)
	}
	return out
}
