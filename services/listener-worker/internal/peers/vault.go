// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"context"
	"fmt"
	"net/http"

	"connectrpc.com/connect"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/pkg/rpc"
	"mailpush.internal/pkg/secret"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	vaultv1 "mailpush.internal/proto/gen/mailpush/vault/v1"
	"mailpush.internal/proto/gen/mailpush/vault/v1/vaultv1connect"
	"mailpush.internal/services/listener-worker/internal/deliver"
	"mailpush.internal/services/listener-worker/internal/listen"
	"mailpush.internal/services/listener-worker/internal/mailbox"
	"mailpush.internal/services/listener-worker/internal/transport"
)

const (
	accountMail    = "mail" // also with /<slot>, as are webhook accounts
	accountWebhook = "webhook/"
	accountHeaders = "headers/"
)

// Vault calls the vault. It is safe for concurrent use.
type Vault struct {
	service vaultv1connect.VaultServiceClient
}

var (
	_ listen.Credentials = (*Vault)(nil)
	_ deliver.Secrets    = (*Vault)(nil)
)

// NewVault makes a client that calls through the given HTTP client; see [rpc.Client].
func NewVault(client *http.Client) *Vault {
	return &Vault{vaultv1connect.NewVaultServiceClient(client, rpc.BaseURL)}
}

// Login implements [listen.Credentials].
func (c *Vault) Login(ctx context.Context, user mailbox.User, slot uint32) (mailbox.Login, error) {
	answer, err := c.open(ctx, user, accountOf(accountMail, slot), "listening to the mailbox")
	if err != nil {
		return mailbox.Login{}, err
	}
	login := answer.GetLogin()
	if login == nil {
		return mailbox.Login{}, fault.New(fault.DataLoss, "the stored mail credential is no login")
	}
	return mailbox.Login{
		AuthorizationID: login.GetAuthorizationId(),
		Username:        login.GetUsername(),
		Password:        secret.New(login.GetPassword()),
		Version:         answer.GetVersion(),
	}, nil
}

// SigningSecret implements [deliver.Secrets].
func (c *Vault) SigningSecret(ctx context.Context, user mailbox.User, subscription string, slot uint32) (secret.String, error) {
	answer, err := c.open(ctx, user, accountOf(accountWebhook+subscription, slot), "signing pushes")
	if err != nil {
		return secret.String{}, err
	}
	return secret.New(answer.GetSigningSecret().GetSecret()), nil
}

// Headers implements [deliver.Secrets].
func (c *Vault) Headers(ctx context.Context, user mailbox.User, subscription string, slot uint32) (*transport.Headers, error) {
	answer, err := c.open(ctx, user, accountOf(accountHeaders+subscription, slot), "pushing with headers")
	if err != nil {
		return nil, err
	}
	if answer.GetHeaders() == nil {
		return nil, fault.New(fault.DataLoss, "the stored headers are none")
	}
	out := &transport.Headers{Origin: answer.GetHeaders().GetOrigin()}
	for _, header := range answer.GetHeaders().GetHeaders() {
		out.List = append(out.List, transport.Header{Name: header.GetName(), Value: secret.New(header.GetValue())})
	}
	return out, nil
}

// accountOf is the vault's name of a slot of a kind of secret.
func accountOf(kind string, slot uint32) string {
	if slot == 0 {
		return kind
	}
	return fmt.Sprintf("%s/%d", kind, slot)
}

func (c *Vault) open(ctx context.Context, user mailbox.User, account, reason string) (*vaultv1.OpenResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	response, err := c.service.Open(ctx, connect.NewRequest(&vaultv1.OpenRequest{
		User:    &mailv1.User{ContextId: user.Context, UserId: user.ID},
		Account: account,
		Reason:  reason,
	}))
	if err != nil {
		return nil, rpc.FromConnect("the credential vault", err)
	}
	return response.Msg, nil
}
