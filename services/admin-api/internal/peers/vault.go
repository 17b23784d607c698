// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"context"
	"net/http"
	"time"

	"connectrpc.com/connect"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/pkg/identity"
	"mailpush.internal/pkg/rpc"
	vaultv1 "mailpush.internal/proto/gen/mailpush/vault/v1"
	"mailpush.internal/proto/gen/mailpush/vault/v1/vaultv1connect"
	"mailpush.internal/services/admin-api/internal/edge"
	"mailpush.internal/services/admin-api/internal/registry"
)

const vaultName = "the credential vault"

// Vault is the credential vault. It is safe for concurrent use.
type Vault struct {
	client vaultv1connect.VaultServiceClient
	http   *http.Client
}

// NewVault makes a client of the vault's replicas.
func NewVault(id *identity.Identity, addresses []string, calls *rpc.Calls) *Vault {
	c := calls.Count(rpc.Client(id, identity.Vault, addresses), identity.Vault)
	return &Vault{vaultv1connect.NewVaultServiceClient(c, rpc.BaseURL), c}
}

// Close lets go of idle connections.
func (v *Vault) Close() { v.http.CloseIdleConnections() }

// sealTime bounds a call that seals many.
const sealTime = 20 * time.Second

// Seal implements [edge.Vault]. A vault of an earlier release takes one at a time: when one
// of several fails there, those before it are sealed, and nothing names them.
func (v *Vault) Seal(ctx context.Context, list []edge.Sealing) ([]uint64, error) {
	requests := make([]*vaultv1.SealRequest, len(list))
	for i, s := range list {
		requests[i] = &vaultv1.SealRequest{User: s.UserID.Wire(), Account: s.Account, Credential: credential(s.Secret), Above: s.Above}
	}
	if len(list) > 1 {
		versions, err := v.sealMany(ctx, requests)
		if connect.CodeOf(err) != connect.CodeUnimplemented {
			return versions, err
		}
	}
	versions := make([]uint64, len(list))
	for i, request := range requests {
		var err error
		if versions[i], err = v.seal(ctx, request); err != nil {
			return nil, err
		}
	}
	return versions, nil
}

func (v *Vault) sealMany(ctx context.Context, requests []*vaultv1.SealRequest) ([]uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, sealTime)
	defer cancel()
	res, err := call(ctx, vaultName, v.client.SealMany, &vaultv1.SealManyRequest{Seals: requests})
	if err == nil && len(res.GetVersions()) != len(requests) {
		err = fault.New(fault.Internal, "the credential vault has sealed %d of %d", len(res.GetVersions()), len(requests))
	}
	return res.GetVersions(), err
}

func (v *Vault) seal(ctx context.Context, request *vaultv1.SealRequest) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	res, err := call(ctx, vaultName, v.client.Seal, request)
	return res.GetVersion(), err
}

// credential is a secret on the wire.
func credential(s edge.Secret) *vaultv1.Credential {
	switch s := s.(type) {
	case edge.Password:
		return &vaultv1.Credential{Kind: &vaultv1.Credential_Password{
			Password: &vaultv1.Password{Login: s.Login, Password: s.Password.Reveal()},
		}}
	case edge.Master:
		return &vaultv1.Credential{Kind: &vaultv1.Credential_Master{Master: &vaultv1.Master{Login: s.Login}}}
	case edge.SigningKey:
		return &vaultv1.Credential{Kind: &vaultv1.Credential_SigningSecret{
			SigningSecret: &vaultv1.SigningSecret{Secret: s.Key.Reveal()},
		}}
	case edge.SealedHeaders:
		out := &vaultv1.Headers{Origin: s.Origin}
		for _, h := range s.Headers {
			out.Headers = append(out.Headers, &vaultv1.Header{Name: h.Name, Value: h.Value.Reveal()})
		}
		return &vaultv1.Credential{Kind: &vaultv1.Credential_Headers{Headers: out}}
	default:
		return nil // which the vault refuses
	}
}

// Has tells whether there is something in an account. A vault of an earlier release cannot
// say: what was sealed is then taken to be there.
func (v *Vault) Has(ctx context.Context, u registry.UserID, account string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	res, err := v.client.GetVersion(ctx, connect.NewRequest(&vaultv1.GetVersionRequest{User: u.Wire(), Account: account}))
	switch {
	case connect.CodeOf(err) == connect.CodeUnimplemented:
		return true, nil
	case err != nil:
		return false, failed(vaultName, err)
	}
	return res.Msg.GetVersion() != 0, nil
}

// Delete removes one of the user's credentials; removing none is no error.
func (v *Vault) Delete(ctx context.Context, u registry.UserID, account string) error {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	_, err := call(ctx, vaultName, v.client.Delete, &vaultv1.DeleteRequest{User: u.Wire(), Account: account})
	return err
}
