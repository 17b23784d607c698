// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"cmp"
	"context"
	"fmt"
	"net/http"

	"connectrpc.com/connect"

	adminv1 "mailpush.internal/proto/gen/mailpush/admin/v1"
	"mailpush.internal/proto/gen/mailpush/admin/v1/adminv1connect"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	pushv1 "mailpush.internal/proto/gen/mailpush/push/v1"
	"mailpush.internal/proto/gen/mailpush/push/v1/pushv1connect"
)

// Box is the login of the nth mailbox, and its user in context 1.
func Box(n int) string { return fmt.Sprintf("box-%d", n) }

// connect makes the clients of the public API.
func (m *Mailpush) connect() {
	url := "http://" + m.at.Admin
	m.client = &http.Client{Transport: basicAuth{adminName, m.password, &http.Transport{}}}
	m.push = pushv1connect.NewPushServiceClient(m.client, url)
	m.Admin = adminv1connect.NewAdminServiceClient(m.client, url)
}

// basicAuth adds the administrator's credentials to each request.
type basicAuth struct {
	name, password string
	*http.Transport
}

// RoundTrip implements [http.RoundTripper].
func (b basicAuth) RoundTrip(request *http.Request) (*http.Response, error) {
	request = request.Clone(request.Context())
	request.SetBasicAuth(b.name, b.password)
	return b.Transport.RoundTrip(request)
}

// Subscribe subscribes the user box@1, whose login is box, to its path at url.
func (m *Mailpush) Subscribe(ctx context.Context, box, url string) error {
	return m.SubscribeAt(ctx, StoreName, box, url)
}

// SubscribeAt does that at one of the other mail stores.
func (m *Mailpush) SubscribeAt(ctx context.Context, store, box, url string) error {
	return m.SubscribeTo(ctx, store, box, url, mailv1.Content_CONTENT_UNSPECIFIED)
}

// SubscribeTo says, too, how much of a mail the pushes are to carry.
func (m *Mailpush) SubscribeTo(ctx context.Context, store, box, url string, content mailv1.Content) error {
	answer, err := m.push.Subscribe(ctx, connect.NewRequest(subscription(store, box, url, content)))
	if err != nil {
		return fmt.Errorf("subscribing %s: %w", box, err)
	}
	if !answer.Msg.GetPermanent() {
		return fmt.Errorf("subscribing %s: no permanent listener: %s", box, answer.Msg.GetReason())
	}
	return nil
}

func subscription(store, box, url string, content mailv1.Content) *pushv1.SubscribeRequest {
	return &pushv1.SubscribeRequest{
		ContextId: "1", UserId: box, ClientId: "bench", Topics: []string{"mail:new"}, Content: content,
		Account: &pushv1.Account{MailStore: store, Login: box, Password: Password},
		Webhook: &pushv1.Webhook{Url: url + "/" + box},
		Mode:    mailv1.Mode_MODE_EACH, // what is timed is one mail's way, without gathering more
	}
}

// SubscribeMany does what Subscribe does for many in one call. No mailbox is opened before it
// answers: their listeners do that.
func (m *Mailpush) SubscribeMany(ctx context.Context, boxes []string, url string) error {
	request := &pushv1.SubscribeManyRequest{}
	for _, box := range boxes {
		request.Rows = append(request.Rows, &pushv1.SubscribeManyRow{
			Subscription: subscription(StoreName, box, url, mailv1.Content_CONTENT_UNSPECIFIED),
		})
	}
	answer, err := m.push.SubscribeMany(ctx, connect.NewRequest(request))
	if err != nil {
		return fmt.Errorf("subscribing %d: %w", len(boxes), err)
	}
	for i, result := range answer.Msg.GetResults() {
		if !result.GetSubscription().GetPermanent() {
			return fmt.Errorf("subscribing %s: no permanent listener: %s", boxes[i],
				cmp.Or(result.GetMessage(), result.GetSubscription().GetReason()))
		}
	}
	return nil
}

// AwaitIdle waits until the list shows n listeners waiting in IDLE.
func (m *Mailpush) AwaitIdle(ctx context.Context, n int) error {
	return m.AwaitState(ctx, mailv1.ListenerState_LISTENER_STATE_IDLE, n)
}

// AwaitState waits until the list shows n listeners in a state.
func (m *Mailpush) AwaitState(ctx context.Context, state mailv1.ListenerState, n int) error {
	return m.Await(ctx, "listeners", func(ctx context.Context) error {
		have, token := 0, ""
		for {
			page, err := m.Admin.ListPushUsers(ctx, connect.NewRequest(&adminv1.ListPushUsersRequest{PageToken: token}))
			if err != nil {
				return err
			}
			for _, user := range page.Msg.GetPushUsers() {
				if user.GetState() == state {
					have++
				}
			}
			if token = page.Msg.GetNextPageToken(); token == "" {
				break
			}
		}
		if have != n {
			return fmt.Errorf("%d of %d are in %s", have, n, state)
		}
		return nil
	})
}
