// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"context"
	"net/http"

	"connectrpc.com/connect"

	"mailpush.internal/pkg/identity"
	"mailpush.internal/pkg/rpc"
	"mailpush.internal/pkg/secret"
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

// SealPassword stores the user's login and password at the mail store.
func (v *Vault) SealPassword(ctx context.Context, at edge.Seat, login string, password secret.String) (uint64, error) {
	return v.seal(ctx, at, &vaultv1.Credential{Kind: &vaultv1.Credential_Password{
		Password: &vaultv1.Password{Login: login, Password: password.Reveal()},
	}})
}

// SealMaster stores the user's login, which the master user opens.
func (v *Vault) SealMaster(ctx context.Context, at edge.Seat, login string) (uint64, error) {
	return v.seal(ctx, at, &vaultv1.Credential{Kind: &vaultv1.Credential_Master{
		Master: &vaultv1.Master{Login: login},
	}})
}

// SealWebhook stores a key that signs a subscription's webhooks.
func (v *Vault) SealWebhook(ctx context.Context, at edge.Seat, key secret.String) (uint64, error) {
	return v.seal(ctx, at, &vaultv1.Credential{Kind: &vaultv1.Credential_SigningSecret{
		SigningSecret: &vaultv1.SigningSecret{Secret: key.Reveal()},
	}})
}

// SealHeaders stores headers that pushes to the endpoints of an origin carry.
func (v *Vault) SealHeaders(ctx context.Context, at edge.Seat, origin string, headers []edge.Header) (uint64, error) {
	out := &vaultv1.Headers{Origin: origin}
	for _, h := range headers {
		out.Headers = append(out.Headers, &vaultv1.Header{Name: h.Name, Value: h.Value.Reveal()})
	}
	return v.seal(ctx, at, &vaultv1.Credential{Kind: &vaultv1.Credential_Headers{Headers: out}})
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

func (v *Vault) seal(ctx context.Context, at edge.Seat, c *vaultv1.Credential) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	req := &vaultv1.SealRequest{User: at.UserID.Wire(), Account: at.Account, Credential: c, Above: at.Above}
	res, err := call(ctx, vaultName, v.client.Seal, req)
	return res.GetVersion(), err
}

// Delete removes one of the user's credentials; removing none is no error.
func (v *Vault) Delete(ctx context.Context, u registry.UserID, account string) error {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	_, err := call(ctx, vaultName, v.client.Delete, &vaultv1.DeleteRequest{User: u.Wire(), Account: account})
	return err
}
