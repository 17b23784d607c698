// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package transport_test

import (
	"testing"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	registryv1 "mailpush.internal/proto/gen/mailpush/registry/v1"
	"mailpush.internal/services/listener-worker/internal/transport"
)

func TestTargetIsReadFromThisReleaseAndTheOneBefore(t *testing.T) {
	t.Parallel()
	webhook := func(url string) *mailv1.Target {
		return &mailv1.Target{Kind: &mailv1.Target_Webhook{Webhook: &mailv1.WebhookTarget{Url: url}}}
	}
	for name, c := range map[string]struct {
		listed *registryv1.Subscription
		want   transport.Target
	}{
		"of the release before": {&registryv1.Subscription{WebhookUrl: "https://a.example/"}, transport.Target{Kind: transport.Webhook, Address: "https://a.example/"}}, //nolint:staticcheck // what that release fills in
		"of this one":           {&registryv1.Subscription{Target: webhook("https://a.example/")}, transport.Target{Kind: transport.Webhook, Address: "https://a.example/"}},
		"of this one, for both": {&registryv1.Subscription{Target: webhook("https://b.example/"), WebhookUrl: "https://a.example/"}, transport.Target{Kind: transport.Webhook, Address: "https://b.example/"}}, //nolint:staticcheck // likewise
		"of a later one":        {&registryv1.Subscription{Target: &mailv1.Target{}}, transport.Target{}},
	} {
		if got := transport.SubscriptionOf(c.listed).Target; got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}
