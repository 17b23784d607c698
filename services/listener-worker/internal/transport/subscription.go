// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package transport

import registryv1 "mailpush.internal/proto/gen/mailpush/registry/v1"

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
	return &Subscription{listed, Target{Webhook, listed.GetWebhookUrl()}}
}

// SubscriptionsOf reads subscriptions as the registry lists them.
func SubscriptionsOf(listed []*registryv1.Subscription) []*Subscription {
	out := make([]*Subscription, len(listed))
	for i, subscription := range listed {
		out[i] = SubscriptionOf(subscription)
	}
	return out
}
