// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rpc_test

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/pkg/rpc"
	"mailpush.internal/pkg/userid"
	adminv1 "mailpush.internal/proto/gen/mailpush/admin/v1"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	pushv1 "mailpush.internal/proto/gen/mailpush/push/v1"
	workerv1 "mailpush.internal/proto/gen/mailpush/worker/v1"
)

func TestValidateNamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	subscribe := func(change func(*pushv1.SubscribeRequest)) proto.Message {
		m := &pushv1.SubscribeRequest{
			ContextId: "1", UserId: "249", ClientId: "mobile", Topics: []string{"mail:new"}, Webhook: &pushv1.Webhook{Url: "https://h/"},
		}
		change(m)
		return m
	}
	try := func(url string, target *mailv1.Target) proto.Message {
		return &workerv1.SendTestRequest{
			User: &mailv1.User{ContextId: "1", UserId: "249"}, SubscriptionId: "sub_1", Target: target,
			WebhookUrl: url, //nolint:staticcheck // an earlier release sets it
		}
	}
	webhook := &mailv1.Target{Kind: &mailv1.Target_Webhook{Webhook: &mailv1.WebhookTarget{Url: "https://h/"}}}
	for _, tt := range []struct {
		name    string
		message proto.Message
		want    string
	}{
		{"all well", subscribe(func(*pushv1.SubscribeRequest) {}), ""},
		{"a field", subscribe(func(m *pushv1.SubscribeRequest) { m.UserId = "2 49" }),
			"userId: must be 1 to 254 characters out of A-Z a-z 0-9 and . _ - @ + = ~ ! # $ % & ' ^ ` { | }"},
		{"no target", subscribe(func(m *pushv1.SubscribeRequest) { m.Webhook = nil }), "set exactly one target: webhook"},
		{"a target without an address", subscribe(func(m *pushv1.SubscribeRequest) { m.Webhook = &pushv1.Webhook{} }),
			"webhook.url: must be at least 1 characters"},
		{"both", subscribe(func(m *pushv1.SubscribeRequest) { m.ContextId, m.Webhook = "", nil }),
			"set exactly one target: webhook; contextId: must be " + userid.Chars},
		{"a filter", &adminv1.ListPushUsersRequest{ContextId: "a b"}, "contextId: must be empty, or " + userid.Chars},
		{"no filter", &adminv1.ListPushUsersRequest{}, ""},
		{"a mail address", subscribe(func(m *pushv1.SubscribeRequest) { m.UserId, m.ContextId = "o'brien+push@example.org", "example.org" }), ""},
		{"another pattern", subscribe(func(m *pushv1.SubscribeRequest) { m.ClientId = "a@b" }),
			"clientId: does not match regex pattern `^[A-Za-z0-9._:-]{1,128}$`"},
		{"test of a target", try("", webhook), ""},
		{"test by an earlier release", try("https://h/", nil), ""},
		{"test of nothing", try("", nil), "target: is required"},
		{"test of an unknown kind", try("", &mailv1.Target{}), "target.kind: exactly one field is required in oneof"},
	} {
		err := rpc.Validate(tt.message)
		if (tt.want == "") != (err == nil) || err != nil && (err.Error() != tt.want || fault.KindOf(err) != fault.Invalid) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
	}
}
