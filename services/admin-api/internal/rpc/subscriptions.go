// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"context"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	adminv1 "mailpush.internal/proto/gen/mailpush/admin/v1"
	"mailpush.internal/services/admin-api/internal/edge"
	"mailpush.internal/services/admin-api/internal/registry"
)

// ListSubscriptions implements AdminServiceHandler.
func (a admin) ListSubscriptions(
	ctx context.Context, req *connect.Request[adminv1.ListSubscriptionsRequest],
) (*connect.Response[adminv1.ListSubscriptionsResponse], error) {
	after, err := decodeToken(req.Msg.GetPageToken(), subscriptionsToken, 2)
	if err != nil {
		return nil, err
	}
	of := registry.UserID{Context: req.Msg.GetContextId(), User: req.Msg.GetUserId()}
	limit := pageSize(req.Msg.GetPageSize())
	list, more, err := a.edge.Subscriptions(ctx, of, after[0], after[1], limit)
	if err != nil {
		return nil, err
	}
	res := &adminv1.ListSubscriptionsResponse{}
	for _, s := range list {
		res.Subscriptions = append(res.Subscriptions, standing(s))
	}
	if more {
		last := list[limit-1]
		res.NextPageToken = encodeToken(subscriptionsToken, last.Key(), last.ID)
	}
	return connect.NewResponse(res), nil
}

// standing shows the origin in place of the address: what follows it may be a secret.
func standing(s edge.Standing) *adminv1.Subscription {
	return &adminv1.Subscription{
		SubscriptionId: s.ID, ContextId: s.Context, UserId: s.User, ClientId: s.Client, DeviceId: s.Device,
		Transport: string(s.Target.Transport), Origin: s.Endpoint.Origin, Mode: s.Mode,
		State: s.State, Lag: s.Lag, OldestPending: timestamp(s.OldestPending), LastError: s.LastError,
		Since: timestamp(s.Since), NextTry: timestamp(s.NextTry), Cursors: cursors(s.Cursors), Worker: s.Worker,
		CreatedAt: timestamppb.New(s.CreatedAt), WebhookHeaderNames: s.Headers.Names,
		KeptUntil: timestamp(s.Disabled.KeptUntil()),
	}
}

// EnableSubscription implements AdminServiceHandler.
func (a admin) EnableSubscription(
	ctx context.Context, req *connect.Request[adminv1.EnableSubscriptionRequest],
) (*connect.Response[adminv1.EnableSubscriptionResponse], error) {
	if err := a.edge.Enable(ctx, req.Msg.GetSubscriptionId()); err != nil {
		return nil, err
	}
	return connect.NewResponse(&adminv1.EnableSubscriptionResponse{}), nil
}

// DisableSubscription implements AdminServiceHandler. It is the administrators' alone: an
// application that wants no pushes unsubscribes.
func (a admin) DisableSubscription(
	ctx context.Context, req *connect.Request[adminv1.DisableSubscriptionRequest],
) (*connect.Response[adminv1.DisableSubscriptionResponse], error) {
	if err := a.edge.Disable(ctx, req.Msg.GetSubscriptionId(), req.Msg.GetReason()); err != nil {
		return nil, err
	}
	return connect.NewResponse(&adminv1.DisableSubscriptionResponse{}), nil
}

// RestoreSubscription implements AdminServiceHandler.
func (a admin) RestoreSubscription(
	ctx context.Context, req *connect.Request[adminv1.RestoreSubscriptionRequest],
) (*connect.Response[adminv1.RestoreSubscriptionResponse], error) {
	if err := a.edge.Restore(ctx, req.Msg.GetSubscriptionId()); err != nil {
		return nil, err
	}
	return connect.NewResponse(&adminv1.RestoreSubscriptionResponse{}), nil
}

// ReplaySubscription implements AdminServiceHandler. It answers with the cursor that is in
// force, so that who calls sees from where on mails come again.
func (a admin) ReplaySubscription(
	ctx context.Context, req *connect.Request[adminv1.ReplaySubscriptionRequest],
) (*connect.Response[adminv1.ReplaySubscriptionResponse], error) {
	m := req.Msg
	cursor, err := a.edge.Replay(ctx, m.GetSubscriptionId(), m.GetFolder(), m.GetFromUid())
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&adminv1.ReplaySubscriptionResponse{Cursor: cursor.Wire()}), nil
}

// TestSubscription implements AdminServiceHandler. An endpoint that refuses is an answer, not
// an error of the call.
func (a admin) TestSubscription(
	ctx context.Context, req *connect.Request[adminv1.TestSubscriptionRequest],
) (*connect.Response[adminv1.TestSubscriptionResponse], error) {
	r, err := a.edge.Test(ctx, req.Msg.GetSubscriptionId())
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&adminv1.TestSubscriptionResponse{
		Accepted: r.Accepted, Result: r.Result, Detail: r.Detail, Took: durationpb.New(r.Took.Round(time.Millisecond)),
	}), nil
}
