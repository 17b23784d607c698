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
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
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

// pageSize is how many rows to read; the most is a rule of the messages.
func pageSize(asked int32) int {
	if asked == 0 {
		return defaultPage
	}
	return int(asked)
}

// ListPushUsers implements AdminServiceHandler. Whether a page is the last one only the edge
// knows, which leaves out users that have no listener.
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
		res.PushUsers = append(res.PushUsers, pushUser(l))
	}
	if next != "" {
		res.NextPageToken = encodeToken(usersToken, next)
	}
	return connect.NewResponse(res), nil
}

func pushUser(l edge.Listener) *adminv1.PushUser {
	out := &adminv1.PushUser{
		ContextId: l.Context, UserId: l.User, Permanent: l.Permanent, Backend: l.Backend, State: l.State,
		Worker: l.Worker, Since: timestamp(l.Since), LastEvent: timestamp(l.LastEvent), LastError: l.LastError,
		LastHint: timestamp(l.LastHint), LastProof: timestamp(l.LastProof),
	}
	if l.Registration != mailv1.Registration_REGISTRATION_UNSPECIFIED {
		out.Registration = &l.Registration
	}
	return out
}

// timestamp leaves out the zero time, which is for what has not happened.
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
	list, err := a.edge.Store.ListRegistrations(ctx, req.Msg.GetContextId(), after[0], after[1], limit+1)
	if err != nil {
		return nil, err
	}
	res := &adminv1.ListClientRegistrationsResponse{}
	if len(list) > limit { // what is above the limit only says that more follow
		list = list[:limit]
		res.NextPageToken = encodeToken(registrationsToken, list[limit-1].Key(), list[limit-1].Client)
	}
	for _, r := range list {
		res.Registrations = append(res.Registrations, &adminv1.Registration{
			ContextId: r.Context, UserId: r.User, ClientId: r.Client, CreatedAt: timestamppb.New(r.CreatedAt),
		})
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

// ListWorkers implements AdminServiceHandler. The scheduler is asked, so that people see
// what it decides by.
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
