// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pushusers

import (
	"context"
	"errors"
	"slices"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	adminv1 "mailpush.internal/proto/gen/mailpush/admin/v1"
)

// theUser is the one user there is, if it is the one that is named.
func (f *fakeAdmin) theUser(named interface {
	GetContextId() string
	GetUserId() string
},
) (*adminv1.User, error) {
	if named.GetContextId() != f.user.GetContextId() || named.GetUserId() != f.user.GetUserId() {
		return nil, connect.NewError(connect.CodeNotFound, errors.New("nothing is registered for user "+userText(named)))
	}
	return &f.user, nil
}

func (f *fakeAdmin) GetUser(
	_ context.Context, r *connect.Request[adminv1.GetUserRequest],
) (*connect.Response[adminv1.GetUserResponse], error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	user, err := f.theUser(r.Msg)
	return connect.NewResponse(&adminv1.GetUserResponse{User: proto.CloneOf(user)}), err
}

func (f *fakeAdmin) DisableUser(
	_ context.Context, r *connect.Request[adminv1.DisableUserRequest],
) (*connect.Response[adminv1.DisableUserResponse], error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	user, err := f.theUser(r.Msg)
	if err != nil {
		return nil, err
	}
	already := !user.GetEnabled()
	user.Enabled, user.DisabledReason = false, r.Msg.GetReason()
	user.DisabledAt = &timestamppb.Timestamp{Seconds: 1_800_000_000}
	user.DisabledBy = &adminv1.Actor{Kind: adminv1.ActorKind_ACTOR_KIND_ADMINISTRATOR, Name: "admin"}
	return connect.NewResponse(&adminv1.DisableUserResponse{Already: already}), nil
}

func (f *fakeAdmin) EnableUser(
	_ context.Context, r *connect.Request[adminv1.EnableUserRequest],
) (*connect.Response[adminv1.EnableUserResponse], error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	user, err := f.theUser(r.Msg)
	if err != nil {
		return nil, err
	}
	already := user.GetEnabled()
	user.Enabled = true
	return connect.NewResponse(&adminv1.EnableUserResponse{Already: already}), nil
}

// ListHistory has no page of more than is asked for, nor of more than two.
func (f *fakeAdmin) ListHistory(
	_ context.Context, r *connect.Request[adminv1.ListHistoryRequest],
) (*connect.Response[adminv1.ListHistoryResponse], error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, err := f.theUser(r.Msg); err != nil {
		return nil, err
	}
	since := r.Msg.GetSince().AsTime() // 1970 when it is unset
	all := slices.DeleteFunc(slices.Clone(f.history.GetEntries()), func(e *adminv1.HistoryEntry) bool { return e.GetAt().AsTime().Before(since) })
	list, next := page(all, r.Msg.GetPageToken(), "")
	return connect.NewResponse(&adminv1.ListHistoryResponse{Entries: list[:min(len(list), int(r.Msg.GetPageSize()))], NextPageToken: next}), nil
}
