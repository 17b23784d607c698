// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package rpc answers VaultService: it turns requests into calls of the vault and back.
// Invariant: it decides nothing and logs nothing; who may call was checked before.
package rpc

import (
	"context"

	"connectrpc.com/connect"

	"mailpush.internal/pkg/identity"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	vaultv1 "mailpush.internal/proto/gen/mailpush/vault/v1"
	"mailpush.internal/services/credential-vault/internal/credential"
	"mailpush.internal/services/credential-vault/internal/seal"
)

// Vault is what is behind the calls.
type Vault interface {
	Seal(ctx context.Context, list []credential.Sealing) (versions []uint64, err error)
	Open(ctx context.Context, owner seal.Owner, why credential.Purpose) (*vaultv1.OpenResponse, error)
	Version(ctx context.Context, owner seal.Owner) (uint64, error)
	Delete(ctx context.Context, owner seal.Owner) (int, error)
}

// Handler implements vaultv1connect.VaultServiceHandler.
type Handler struct{ vault Vault }

// New makes a handler in front of a vault.
func New(vault Vault) *Handler { return &Handler{vault: vault} }

// Seal stores a credential. The answer is its version and nothing of what was sealed.
func (h *Handler) Seal(ctx context.Context, request *connect.Request[vaultv1.SealRequest]) (*connect.Response[vaultv1.SealResponse], error) {
	versions, err := h.vault.Seal(ctx, []credential.Sealing{sealing(request.Msg)})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&vaultv1.SealResponse{Version: versions[0]}), nil
}

// SealMany stores credentials, all or none.
func (h *Handler) SealMany(ctx context.Context, request *connect.Request[vaultv1.SealManyRequest]) (*connect.Response[vaultv1.SealManyResponse], error) {
	var list []credential.Sealing
	for _, m := range request.Msg.GetSeals() {
		list = append(list, sealing(m))
	}
	versions, err := h.vault.Seal(ctx, list)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&vaultv1.SealManyResponse{Versions: versions}), nil
}

func sealing(m *vaultv1.SealRequest) credential.Sealing {
	return credential.Sealing{Owner: owner(m.GetUser(), m.GetAccount()), Credential: m.GetCredential(), Above: m.GetAbove()}
}

// Open returns a credential in clear. Who asks is taken from the certificate, never from the
// request: it is what the audit shows.
func (h *Handler) Open(ctx context.Context, request *connect.Request[vaultv1.OpenRequest]) (*connect.Response[vaultv1.OpenResponse], error) {
	m := request.Msg
	why := credential.Purpose{Caller: identity.Caller(ctx), Reason: m.GetReason()}
	opened, err := h.vault.Open(ctx, owner(m.GetUser(), m.GetAccount()), why)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(opened), nil
}

// GetVersion tells whether a credential is stored. To those who may not open one it shows
// no more than that.
func (h *Handler) GetVersion(
	ctx context.Context, request *connect.Request[vaultv1.GetVersionRequest],
) (*connect.Response[vaultv1.GetVersionResponse], error) {
	m := request.Msg
	version, err := h.vault.Version(ctx, owner(m.GetUser(), m.GetAccount()))
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&vaultv1.GetVersionResponse{Version: version}), nil
}

// Delete removes credentials. That there were none is no error: whoever deletes may do so
// again when an answer was lost.
func (h *Handler) Delete(ctx context.Context, request *connect.Request[vaultv1.DeleteRequest]) (*connect.Response[vaultv1.DeleteResponse], error) {
	m := request.Msg
	deleted, err := h.vault.Delete(ctx, owner(m.GetUser(), m.GetAccount()))
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&vaultv1.DeleteResponse{Deleted: uint32(deleted)}), nil
}

func owner(user *mailv1.User, account string) seal.Owner {
	return seal.Owner{Context: user.GetContextId(), User: user.GetUserId(), Account: account}
}
