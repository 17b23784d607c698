// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"

	"connectrpc.com/connect"

	"mailpush.internal/pkg/hold"
	"mailpush.internal/pkg/rpc"
	"mailpush.internal/pkg/userid"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	registryv1 "mailpush.internal/proto/gen/mailpush/registry/v1"
	"mailpush.internal/proto/gen/mailpush/registry/v1/registryv1connect"
	"mailpush.internal/services/listener-worker/internal/deliver"
	"mailpush.internal/services/listener-worker/internal/mailbox"
	"mailpush.internal/services/listener-worker/internal/owner"
)

// Registry calls the registry. It is safe for concurrent use.
type Registry struct {
	service registryv1connect.RegistryServiceClient
	// installation is nil until the registry has told; an older release cannot.
	installation atomic.Pointer[string]
}

var (
	_ owner.Registry   = (*Registry)(nil)
	_ deliver.Registry = (*Registry)(nil)
)

// NewRegistry makes a client that calls through the given HTTP client; see [rpc.Client].
func NewRegistry(client *http.Client) *Registry {
	return &Registry{service: registryv1connect.NewRegistryServiceClient(client, rpc.BaseURL)}
}

// Installation is which one the registry is of, empty when it is too old to know. It is
// asked once.
func (c *Registry) Installation(ctx context.Context) (string, error) {
	if installation := c.installation.Load(); installation != nil {
		return *installation, nil
	}
	told, err := c.told(ctx)
	if told == nil || err != nil {
		return "", err
	}
	c.installation.Store(new(told.GetInstallationId()))
	return told.GetInstallationId(), nil
}

// Policy implements [owner.Policies].
func (c *Registry) Policy(ctx context.Context) (string, error) {
	told, err := c.told(ctx)
	return told.GetPolicy(), err
}

// told is what the registry tells of itself, nil when it is too old to.
func (c *Registry) told(ctx context.Context) (*registryv1.GetInstallationResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	response, err := c.service.GetInstallation(ctx, connect.NewRequest(&registryv1.GetInstallationRequest{}))
	switch {
	case connect.CodeOf(err) == connect.CodeUnimplemented:
		return nil, nil //nolint:nilnil // that it cannot tell is an answer
	case err != nil:
		return nil, fmt.Errorf("asking the registry for its installation: %w", rpc.FromConnect("the registry", err))
	}
	return response.Msg, nil
}

// OpenEpoch implements [owner.Registry].
func (c *Registry) OpenEpoch(ctx context.Context, claims []hold.Claim) ([]hold.Claim, error) {
	request := &registryv1.OpenEpochRequest{Claims: toProto(claims)}
	response, err := call(ctx, c.service.OpenEpoch, request)
	if err != nil {
		return nil, err
	}
	return fromProto(response.GetRefused()), nil
}

// ListShards implements [owner.Registry]. It reads all pages.
func (c *Registry) ListShards(ctx context.Context, claims []hold.Claim, users []userid.User) (owner.Listing, error) {
	listing := owner.Listing{Stores: make(map[string]*mailv1.MailStore)}
	request := &registryv1.ListShardRequest{Claims: toProto(claims), KnowsSlots: true}
	for _, user := range users {
		request.Users = append(request.Users, &mailv1.User{ContextId: user.Context, UserId: user.ID})
	}
	refused := make(map[hold.Claim]bool)
	for {
		page, err := call(ctx, c.service.ListShard, request)
		if err != nil {
			return owner.Listing{}, err
		}
		listing.Mailboxes = append(listing.Mailboxes, page.GetMailboxes()...)
		for _, store := range page.GetStores() {
			listing.Stores[store.GetName()] = store
		}
		for _, claim := range fromProto(page.GetRefused()) {
			if !refused[claim] { // each page may say so again
				refused[claim] = true
				listing.Refused = append(listing.Refused, claim)
			}
		}
		if page.GetNextPageToken() == "" {
			return listing, nil
		}
		request.PageToken = page.GetNextPageToken()
	}
}

// SuspendCredential implements [owner.Registry].
func (c *Registry) SuspendCredential(ctx context.Context, claim hold.Claim, user mailbox.User, version uint64, reason string) error {
	_, err := call(ctx, c.service.SuspendCredential, &registryv1.SuspendCredentialRequest{
		Claim:             toProto([]hold.Claim{claim})[0],
		User:              &mailv1.User{ContextId: user.Context, UserId: user.ID},
		CredentialVersion: version,
		Reason:            reason,
	})
	return err
}

// call makes one bounded call.
func call[Q, A any](
	ctx context.Context, method func(context.Context, *connect.Request[Q]) (*connect.Response[A], error), request *Q,
) (*A, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	response, err := method(ctx, connect.NewRequest(request))
	if err != nil {
		return nil, rpc.FromConnect("the registry", err)
	}
	return response.Msg, nil
}

func toProto(claims []hold.Claim) []*registryv1.Claim {
	out := make([]*registryv1.Claim, len(claims))
	for i, claim := range claims {
		out[i] = &registryv1.Claim{Backend: claim.Backend, Shard: claim.Shard, Epoch: claim.Epoch}
	}
	return out
}

func fromProto(claims []*registryv1.Claim) []hold.Claim {
	out := make([]hold.Claim, len(claims))
	for i, claim := range claims {
		out[i] = hold.Claim{Backend: claim.GetBackend(), Shard: claim.GetShard(), Epoch: claim.GetEpoch()}
	}
	return out
}
