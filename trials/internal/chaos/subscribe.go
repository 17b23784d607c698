// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"connectrpc.com/connect"
	"golang.org/x/sync/errgroup"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	pushv1 "mailpush.internal/proto/gen/mailpush/push/v1"
	"mailpush.internal/proto/gen/mailpush/push/v1/pushv1connect"
)

const (
	// subscribeTimeout bounds the wait for a cluster that takes a subscription.
	subscribeTimeout = time.Minute
	// abreast is how many subscriptions, or deliveries, are made at once.
	abreast = 8
)

// device is one of the two clients each mailbox is pushed to.
type device struct {
	name string
	mode mailv1.Mode
}

func devices() []device {
	return []device{{"phone", mailv1.Mode_MODE_BATCH}, {"tablet", mailv1.Mode_MODE_EACH}}
}

// box is the nth mailbox, its login and its user.
func box(n int) string { return fmt.Sprintf("box-%d", n) }

// subscriptionOf names the subscription of a mailbox's device, in the URL it is
// pushed to, too.
func subscriptionOf(box, device string) string { return box + "/" + device }

// boxOf is the mailbox of a subscription.
func boxOf(subscription string) string {
	box, _, _ := strings.Cut(subscription, "/")
	return box
}

// subscribe makes the mailboxes and subscribes all devices.
func (d *deployment) subscribe(ctx context.Context, mailboxes int, endpoints *receivers) error {
	for n := range mailboxes {
		if err := d.dovecot.AddUser(box(n), password); err != nil {
			return err
		}
	}
	client := pushv1connect.NewPushServiceClient(&http.Client{Transport: bearer(d.token)}, "http://"+d.public)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(abreast)
	for n := range mailboxes {
		for i, device := range devices() {
			name := subscriptionOf(box(n), device.name)
			url := endpoints.url(n*len(devices())+i, name)
			group.Go(func() error {
				secret, err := subscribe(ctx, client, box(n), device, url)
				if err != nil {
					return fmt.Errorf("subscribing %s: %w", name, err)
				}
				endpoints.expect(name, secret)
				return nil
			})
		}
	}
	return group.Wait()
}

// bearer adds an application's token to each request.
type bearer string

// RoundTrip implements [http.RoundTripper].
func (b bearer) RoundTrip(request *http.Request) (*http.Response, error) {
	request = request.Clone(request.Context())
	request.Header.Set("Authorization", "Bearer "+string(b))
	return http.DefaultTransport.RoundTrip(request)
}

// subscribe subscribes one device and returns its signing secret. Processes that have
// just been started may need a while before they take it.
func subscribe(ctx context.Context, client pushv1connect.PushServiceClient, box string, device device, url string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, subscribeTimeout)
	defer cancel()
	for {
		answer, err := client.Subscribe(ctx, connect.NewRequest(&pushv1.SubscribeRequest{
			ContextId: "1", UserId: box, ClientId: device.name, Topics: []string{"mail:new"},
			Content: mailv1.Content_CONTENT_ENVELOPE, Mode: device.mode,
			Account: &pushv1.Account{MailStore: storeName, Login: box, Password: password},
			Webhook: &pushv1.Webhook{Url: url},
		}))
		switch {
		case err == nil && answer.Msg.GetPermanent():
			return answer.Msg.GetWebhookSecret(), nil
		case err == nil:
			return "", fmt.Errorf("no permanent listener: %s", answer.Msg.GetReason())
		case !passes(err) || sleep(ctx, pollEvery) != nil:
			return "", err
		}
	}
}

// passes tells whether a failure is one of a cluster that is not complete yet.
func passes(err error) bool {
	code := connect.CodeOf(err)
	return code == connect.CodeUnavailable || code == connect.CodeDeadlineExceeded
}
