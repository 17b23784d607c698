// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"context"

	"connectrpc.com/connect"

	adminv1 "mailpush.internal/proto/gen/mailpush/admin/v1"
	"mailpush.internal/services/admin-api/internal/edge"
	"mailpush.internal/services/admin-api/internal/registry"
)

// named is the user that a request names.
func named(req interface {
	GetContextId() string
	GetUserId() string
},
) registry.UserID {
	return registry.UserID{Context: req.GetContextId(), User: req.GetUserId()}
}

// GetUser implements AdminServiceHandler.
func (a admin) GetUser(
	ctx context.Context, req *connect.Request[adminv1.GetUserRequest],
) (*connect.Response[adminv1.GetUserResponse], error) {
	p, err := a.edge.ShowUser(ctx, named(req.Msg))
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&adminv1.GetUserResponse{User: profile(p)}), nil
}

func profile(p edge.Profile) *adminv1.User {
	out := &adminv1.User{
		ContextId: p.Context, UserId: p.User.User, Enabled: p.Enabled, MailStore: p.Store,
		CredentialState: credentialState(p.Credential.State), CredentialKind: string(p.Credential.Kind),
		CredentialReason: p.Credential.Reason, ClientIds: p.Clients,
		Subscriptions: uint32(p.Subscriptions), DisabledSubscriptions: uint32(p.Disabled),
	}
	if !p.Enabled {
		out.DisabledAt, out.DisabledReason = timestamp(p.Disabling.At), p.Disabling.Reason
		out.DisabledBy = actor(p.Disabling.By)
	}
	return out
}

func credentialState(s registry.CredentialState) adminv1.CredentialState {
	return map[registry.CredentialState]adminv1.CredentialState{
		registry.CredentialNone:      adminv1.CredentialState_CREDENTIAL_STATE_NONE,
		registry.CredentialStored:    adminv1.CredentialState_CREDENTIAL_STATE_STORED,
		registry.CredentialSuspended: adminv1.CredentialState_CREDENTIAL_STATE_SUSPENDED,
	}[s]
}

// DisableUser implements AdminServiceHandler. Disabling twice is no error, but told.
func (a admin) DisableUser(
	ctx context.Context, req *connect.Request[adminv1.DisableUserRequest],
) (*connect.Response[adminv1.DisableUserResponse], error) {
	already, err := a.edge.DisableUser(ctx, named(req.Msg), req.Msg.GetReason())
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&adminv1.DisableUserResponse{Already: already}), nil
}

// EnableUser implements AdminServiceHandler.
func (a admin) EnableUser(
	ctx context.Context, req *connect.Request[adminv1.EnableUserRequest],
) (*connect.Response[adminv1.EnableUserResponse], error) {
	already, err := a.edge.EnableUser(ctx, named(req.Msg))
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&adminv1.EnableUserResponse{Already: already}), nil
}
