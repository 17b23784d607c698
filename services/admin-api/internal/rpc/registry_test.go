// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	registryv1 "mailpush.internal/proto/gen/mailpush/registry/v1"
	"mailpush.internal/services/admin-api/internal/registry"
)

// TestMailboxShowsTargets also to workers that read the URL alone, and keeps to itself
// what only a later release can tell them.
func TestMailboxShowsTargets(t *testing.T) {
	t.Parallel()
	const url = "https://hook.example/?token=t"
	box := registry.Mailbox{Subscriptions: []registry.Subscription{
		{ID: "sub_a", Content: mailv1.Content_CONTENT_IDS, Target: registry.Target{Transport: registry.Webhook, Address: url}},
		{ID: "sub_b", Target: registry.Target{Transport: "web_push", Address: "https://push.example/"}},
	}}
	want := []*registryv1.Subscription{{
		Id: "sub_a", Content: mailv1.Content_CONTENT_IDS, PreviousSecretSlot: new(uint32),
		WebhookUrl: url, // what a worker of the release before reads
		Target:     &mailv1.Target{Kind: &mailv1.Target_Webhook{Webhook: &mailv1.WebhookTarget{Url: url}}},
	}}
	if diff := cmp.Diff(want, mailbox(box).GetSubscriptions(), protocmp.Transform()); diff != "" {
		t.Errorf("subscriptions (-want +got):\n%s", diff)
	}
}
