// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pushusers

import (
	"context"
	"errors"

	"connectrpc.com/connect"

	adminv1 "mailpush.internal/proto/gen/mailpush/admin/v1"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
)

func (f *fakeAdmin) ListSubscriptions(
	_ context.Context, r *connect.Request[adminv1.ListSubscriptionsRequest],
) (*connect.Response[adminv1.ListSubscriptionsResponse], error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []*adminv1.Subscription
	for _, s := range f.subscriptions.GetSubscriptions() {
		if r.Msg.GetUserId() == "" || r.Msg.GetUserId() == s.GetUserId() {
			all = append(all, s)
		}
	}
	list, next := page(all, r.Msg.GetPageToken(), r.Msg.GetContextId())
	return connect.NewResponse(&adminv1.ListSubscriptionsResponse{Subscriptions: list, NextPageToken: next}), nil
}

// with does something to a subscription.
func (f *fakeAdmin) with(id string, do func(s *adminv1.Subscription)) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.subscriptions.GetSubscriptions() {
		if s.GetSubscriptionId() == id {
			do(s)
			return nil
		}
	}
	return connect.NewError(connect.CodeNotFound, errors.New("no such subscription: "+id))
}

func (f *fakeAdmin) EnableSubscription(
	_ context.Context, r *connect.Request[adminv1.EnableSubscriptionRequest],
) (*connect.Response[adminv1.EnableSubscriptionResponse], error) {
	err := f.with(r.Msg.GetSubscriptionId(), func(s *adminv1.Subscription) {
		s.State, s.LastError = adminv1.SubscriptionState_SUBSCRIPTION_STATE_ACTIVE, ""
	})
	return connect.NewResponse(&adminv1.EnableSubscriptionResponse{}), err
}

func (f *fakeAdmin) DisableSubscription(
	_ context.Context, r *connect.Request[adminv1.DisableSubscriptionRequest],
) (*connect.Response[adminv1.DisableSubscriptionResponse], error) {
	err := f.with(r.Msg.GetSubscriptionId(), func(s *adminv1.Subscription) {
		s.State, s.LastError = adminv1.SubscriptionState_SUBSCRIPTION_STATE_DISABLED, r.Msg.GetReason()
	})
	return connect.NewResponse(&adminv1.DisableSubscriptionResponse{}), err
}

func (f *fakeAdmin) RestoreSubscription(
	_ context.Context, r *connect.Request[adminv1.RestoreSubscriptionRequest],
) (*connect.Response[adminv1.RestoreSubscriptionResponse], error) {
	kept := true
	err := f.with(r.Msg.GetSubscriptionId(), func(s *adminv1.Subscription) {
		if kept = s.GetKeptUntil() != nil; kept {
			s.State, s.LastError, s.KeptUntil = adminv1.SubscriptionState_SUBSCRIPTION_STATE_ACTIVE, "", nil
		}
	})
	if !kept {
		err = connect.NewError(connect.CodeFailedPrecondition, errors.New("subscription "+r.Msg.GetSubscriptionId()+" is not disabled"))
	}
	return connect.NewResponse(&adminv1.RestoreSubscriptionResponse{}), err
}

func (f *fakeAdmin) ReplaySubscription(
	_ context.Context, r *connect.Request[adminv1.ReplaySubscriptionRequest],
) (*connect.Response[adminv1.ReplaySubscriptionResponse], error) {
	if r.Msg.GetFromUid() > 100 {
		return nil, connect.NewError(connect.CodeInvalidArgument, errors.New("fromUid: is above 100"))
	}
	cursor := &mailv1.Cursor{Folder: r.Msg.GetFolder(), Uid: r.Msg.GetFromUid() - 1}
	if cursor.GetFolder() == "" {
		cursor.Folder = "INBOX"
	}
	err := f.with(r.Msg.GetSubscriptionId(), func(*adminv1.Subscription) {})
	return connect.NewResponse(&adminv1.ReplaySubscriptionResponse{Cursor: cursor}), err
}

func (f *fakeAdmin) TestSubscription(
	_ context.Context, r *connect.Request[adminv1.TestSubscriptionRequest],
) (*connect.Response[adminv1.TestSubscriptionResponse], error) {
	err := f.with(r.Msg.GetSubscriptionId(), func(*adminv1.Subscription) {})
	return connect.NewResponse(&f.test), err
}

func (f *fakeAdmin) ListDeadLetters(
	_ context.Context, r *connect.Request[adminv1.ListDeadLettersRequest],
) (*connect.Response[adminv1.ListDeadLettersResponse], error) {
	var all []*adminv1.DeadLetter
	for _, d := range f.deadLetters.GetDeadLetters() {
		if r.Msg.GetSubscriptionId() == "" || r.Msg.GetSubscriptionId() == d.GetSubscriptionId() {
			all = append(all, d)
		}
	}
	list, next := page(all, r.Msg.GetPageToken(), "")
	return connect.NewResponse(&adminv1.ListDeadLettersResponse{DeadLetters: list, NextPageToken: next}), nil
}
