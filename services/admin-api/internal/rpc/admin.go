// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"context"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	adminv1 "mailpush.internal/proto/gen/mailpush/admin/v1"
	"mailpush.internal/proto/gen/mailpush/admin/v1/adminv1connect"
	"mailpush.internal/services/admin-api/internal/edge"
	"mailpush.internal/services/admin-api/internal/registry"
)

// defaultPage is how many rows a page has when the caller does not say.
const defaultPage = 1000

// admin implements AdminService. That the caller is an administrator has been seen
// to by the authentication in front of it.
type admin struct {
	edge *edge.Edge
}

var _ adminv1connect.AdminServiceHandler = admin{}

func pageSize(asked int32) int {
	if asked == 0 {
		return defaultPage
	}
	return int(asked)
}

// ListPushUsers implements AdminServiceHandler.
func (a admin) ListPushUsers(
	ctx context.Context, req *connect.Request[adminv1.ListPushUsersRequest],
) (*connect.Response[adminv1.ListPushUsersResponse], error) {
	after, err := decodeToken(req.Msg.GetPageToken(), usersToken, 1)
	if err != nil {
		return nil, err
	}
	page, next, err := a.edge.PushUsers(ctx, req.Msg.GetContextId(), after[0], pageSize(req.Msg.GetPageSize()))
	if err != nil {
		return nil, err
	}
	res := &adminv1.ListPushUsersResponse{}
	for _, l := range page {
		res.PushUsers = append(res.PushUsers, &adminv1.PushUser{
			ContextId: l.Context, UserId: l.User, Permanent: l.Permanent, Backend: l.Backend, State: l.State,
			Worker: l.Worker, Since: timestamp(l.Since), LastEvent: timestamp(l.LastEvent), LastError: l.LastError,
		})
	}
	if next != "" {
		res.NextPageToken = encodeToken(usersToken, next)
	}
	return connect.NewResponse(res), nil
}

func timestamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

// ListClientRegistrations implements AdminServiceHandler.
func (a admin) ListClientRegistrations(
	ctx context.Context, req *connect.Request[adminv1.ListClientRegistrationsRequest],
) (*connect.Response[adminv1.ListClientRegistrationsResponse], error) {
	after, err := decodeToken(req.Msg.GetPageToken(), registrationsToken, 2)
	if err != nil {
		return nil, err
	}
	limit := pageSize(req.Msg.GetPageSize())
	list, err := a.edge.Store.ListRegistrations(ctx, req.Msg.GetContextId(), after[0], after[1], limit)
	if err != nil {
		return nil, err
	}
	res := &adminv1.ListClientRegistrationsResponse{}
	for _, r := range list {
		res.Registrations = append(res.Registrations, &adminv1.Registration{
			ContextId: r.Context, UserId: r.User, ClientId: r.Client, CreatedAt: timestamppb.New(r.CreatedAt),
		})
	}
	if len(list) == limit {
		last := list[limit-1]
		res.NextPageToken = encodeToken(registrationsToken, last.Key(), last.Client)
	}
	return connect.NewResponse(res), nil
}

// UnregisterClient implements AdminServiceHandler.
func (a admin) UnregisterClient(
	ctx context.Context, req *connect.Request[adminv1.UnregisterClientRequest],
) (*connect.Response[adminv1.UnregisterClientResponse], error) {
	u := registry.UserID{Context: req.Msg.GetContextId(), User: req.Msg.GetUserId()}
	if err := a.edge.Unregister(ctx, u, req.Msg.GetClientId()); err != nil {
		return nil, err
	}
	return connect.NewResponse(&adminv1.UnregisterClientResponse{}), nil
}

// Explain implements AdminServiceHandler.
func (a admin) Explain(
	ctx context.Context, req *connect.Request[adminv1.ExplainRequest],
) (*connect.Response[adminv1.ExplainResponse], error) {
	d, err := a.edge.Explain(ctx, registry.UserID{Context: req.Msg.GetContextId(), User: req.Msg.GetUserId()})
	if err != nil {
		return nil, err
	}
	res := &adminv1.ExplainResponse{Verdict: d.Verdict()}
	for _, s := range d.Steps {
		res.Steps = append(res.Steps, &adminv1.ExplainStep{Check: s.Check, Ok: s.OK, Detail: s.Detail})
	}
	return connect.NewResponse(res), nil
}

// ListWorkers implements AdminServiceHandler.
func (a admin) ListWorkers(
	ctx context.Context, _ *connect.Request[adminv1.ListWorkersRequest],
) (*connect.Response[adminv1.ListWorkersResponse], error) {
	members, err := a.edge.Scheduler.Members(ctx)
	if err != nil {
		return nil, err
	}
	res := &adminv1.ListWorkersResponse{Leader: members.Leader}
	for _, w := range members.Workers {
		res.Workers = append(res.Workers, &adminv1.Worker{
			Id: w.ID, Address: w.Address, Backends: w.Backends, Capacity: w.Capacity, Listeners: w.Listeners,
			Shards: uint32(len(w.Held)), Draining: w.Draining, Version: w.Version,
			StartedAt: timestamp(w.StartedAt), Unread: w.Unread,
		})
	}
	return connect.NewResponse(res), nil
}
