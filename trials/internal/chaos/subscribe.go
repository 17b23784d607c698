// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"time"

	"connectrpc.com/connect"
	"golang.org/x/sync/errgroup"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	pushv1 "mailpush.internal/proto/gen/mailpush/push/v1"
	"mailpush.internal/proto/gen/mailpush/push/v1/pushv1connect"
	"mailpush.internal/trials/internal/rig"
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

// contextID is the context of all users.
const contextID = "1"

// box is the user of the nth mailbox.
func box(n int) string { return fmt.Sprintf("box-%d", n) }

// login is what the mail store calls a user: what it is called where nobody brings a login.
func login(box string) string { return box + "@" + contextID }

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
		if err := d.dovecot.AddUser(login(box(n)), password); err != nil {
			return err
		}
	}
	client := d.application()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(abreast)
	for n := range mailboxes {
		for i, device := range devices() {
			name := subscriptionOf(box(n), device.name)
			url := endpoints.url(n*len(devices())+i, name)
			group.Go(func() error {
				secret, err := subscribe(ctx, client, d.account(box(n)), box(n), device, url)
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

// application is a client with the application's token.
func (d *deployment) application() pushv1connect.PushServiceClient {
	return pushv1connect.NewPushServiceClient(&http.Client{Transport: bearer(d.token)}, "http://"+d.public)
}

// account is that of a mailbox: with its password, but for a mail store that needs none.
func (d *deployment) account(box string) *pushv1.Account {
	if d.notifications != nil {
		return &pushv1.Account{MailStore: storeName}
	}
	return &pushv1.Account{MailStore: storeName, Login: login(box), Password: password}
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
// just been started may need a while before they take it. The secret is ours: one that was
// made for a call whose answer is lost would be shown to nobody.
func subscribe(ctx context.Context, client pushv1connect.PushServiceClient, account *pushv1.Account, box string, device device, url string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, subscribeTimeout)
	defer cancel()
	secret := "whsec_" + base64.StdEncoding.EncodeToString([]byte(rand.Text()))
	for {
		answer, err := client.Subscribe(ctx, connect.NewRequest(&pushv1.SubscribeRequest{
			ContextId: contextID, UserId: box, ClientId: device.name, Topics: []string{"mail:new"},
			Content: mailv1.Content_CONTENT_ENVELOPE, Mode: device.mode,
			Account: account,
			Webhook: &pushv1.Webhook{Url: url, Secret: secret},
		}))
		switch {
		case err == nil && answer.Msg.GetPermanent():
			return secret, nil
		case err == nil:
			return "", fmt.Errorf("no permanent listener: %s", answer.Msg.GetReason())
		case !passes(err) || rig.Pause(ctx, pollEvery) != nil:
			return "", err
		}
	}
}

// passes tells whether a failure is one of a cluster that is not complete yet.
func passes(err error) bool {
	code := connect.CodeOf(err)
	return code == connect.CodeUnavailable || code == connect.CodeDeadlineExceeded
}
