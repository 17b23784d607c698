// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package webhook_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"mailpush.internal/services/listener-worker/internal/transport"
	"mailpush.internal/services/listener-worker/internal/webhook"
)

func TestEnding(t *testing.T) {
	t.Parallel()
	url, requests := record(t)
	last := push(url)
	last.Purpose, last.Reason = transport.End, "unsubscribed"
	if result := client(t, webhook.Config{RequireEcho: true}).Send(t.Context(), last); result.Class != transport.OK {
		t.Fatalf("result %+v", result)
	}
	got := <-requests
	if !verify(t, key, got.header.Get("webhook-signature"), got) {
		t.Error("it is not signed")
	}
	body := decode(t, got.body)
	want := map[string]string{
		"contextId": last.User.Context, "userId": last.User.ID, "subscriptionId": last.Subscription, "reason": "unsubscribed",
	}
	if diff := cmp.Diff(want, body.Data); diff != "" || body.Type != "subscription:ending" {
		t.Errorf("%s (-want +got):\n%s", body.Type, diff)
	}
}
