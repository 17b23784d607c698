// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"context"
	"fmt"
	"net/http"

	"connectrpc.com/connect"

	adminv1 "mailpush.internal/proto/gen/mailpush/admin/v1"
	"mailpush.internal/proto/gen/mailpush/admin/v1/adminv1connect"
	pushv1 "mailpush.internal/proto/gen/mailpush/push/v1"
	"mailpush.internal/trials/internal/rig"
)

// lost counts the devices whose subscription is not there any more, or is disabled, by what
// an application is told.
func (d *deployment) lost(ctx context.Context, mailboxes int) (int, error) {
	lost := 0
	for n := range mailboxes {
		subscriptions, err := d.subscriptions(ctx, box(n))
		if err != nil {
			return 0, err
		}
		lost += len(devices()) - served(subscriptions)
	}
	return lost, nil
}

// subscriptions are those of a mailbox, none of one that is forgotten.
func (d *deployment) subscriptions(ctx context.Context, box string) ([]*pushv1.Subscription, error) {
	var answer *connect.Response[pushv1.ListSubscriptionsResponse]
	err := patiently(ctx, func(ctx context.Context) (err error) {
		answer, err = d.application().ListSubscriptions(ctx, connect.NewRequest(&pushv1.ListSubscriptionsRequest{ContextId: contextID, UserId: box}))
		return err
	})
	switch {
	case connect.CodeOf(err) == connect.CodeNotFound:
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("listing the subscriptions of %s: %w", box, err)
	}
	return answer.Msg.GetSubscriptions(), nil
}

// patiently repeats a call to a cluster that is not complete yet.
func patiently(ctx context.Context, call func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, subscribeTimeout)
	defer cancel()
	for {
		err := call(ctx)
		if err == nil || !passes(err) || rig.Pause(ctx, pollEvery) != nil {
			return err
		}
	}
}

// served counts the devices that are pushed to.
func served(subscriptions []*pushv1.Subscription) int {
	n := 0
	for _, device := range devices() {
		for _, subscription := range subscriptions {
			if subscription.GetClientId() == device.name && !subscription.GetDisabled() {
				n++
				break
			}
		}
	}
	return n
}

// hurry has all that is pending tried at once, as an operator does who knows that endpoints
// are well again. What is disabled is lost, and to be counted so.
func (d *deployment) hurry(ctx context.Context, mailboxes int) error {
	admin := d.admin()
	for n := range mailboxes {
		subscriptions, err := d.subscriptions(ctx, box(n))
		if err != nil {
			return err
		}
		for _, subscription := range subscriptions {
			if subscription.GetDisabled() {
				continue
			}
			request := connect.NewRequest(&adminv1.EnableSubscriptionRequest{SubscriptionId: subscription.GetSubscriptionId()})
			if err := patiently(ctx, func(ctx context.Context) error {
				_, err := admin.EnableSubscription(ctx, request)
				return err
			}); err != nil {
				return fmt.Errorf("enabling a subscription of %s: %w", box(n), err)
			}
		}
	}
	return nil
}

// explain tells what an operator sees of subscriptions that are behind, and of mails that
// were given up, a few of each.
func (d *deployment) explain(ctx context.Context, tell func(format string, args ...any)) error {
	listed, err := d.admin().ListSubscriptions(ctx, connect.NewRequest(&adminv1.ListSubscriptionsRequest{}))
	if err != nil {
		return fmt.Errorf("listing subscriptions: %w", err)
	}
	told := 0
	for _, s := range listed.Msg.GetSubscriptions() {
		if s.GetLag() > 0 && told < maxExamples {
			told++
			tell("behind: %s/%s is %s, by %d, at %v: %s, next at %v", s.GetUserId(), s.GetClientId(), s.GetState(), s.GetLag(),
				s.GetCursors(), s.GetLastError(), s.GetNextTry().AsTime())
		}
	}
	letters, err := d.admin().ListDeadLetters(ctx, connect.NewRequest(&adminv1.ListDeadLettersRequest{PageSize: maxExamples}))
	if err != nil {
		return fmt.Errorf("listing dead letters: %w", err)
	}
	for _, letter := range letters.Msg.GetDeadLetters() {
		tell("given up: UID %d to %d of %s: %s", letter.GetFirstUid(), letter.GetLastUid(), letter.GetUserId(), letter.GetReason())
	}
	return nil
}

// admin is a client with the administrator's password.
func (d *deployment) admin() adminv1connect.AdminServiceClient {
	return adminv1connect.NewAdminServiceClient(&http.Client{Transport: basic(d.password)}, "http://"+d.public)
}

// basic adds the administrator's password to each request.
type basic string

// RoundTrip implements [http.RoundTripper].
func (b basic) RoundTrip(request *http.Request) (*http.Response, error) {
	request = request.Clone(request.Context())
	request.SetBasicAuth(adminName, string(b))
	return http.DefaultTransport.RoundTrip(request)
}
