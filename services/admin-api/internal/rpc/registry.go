// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"connectrpc.com/connect"

	"mailpush.internal/pkg/fault"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	registryv1 "mailpush.internal/proto/gen/mailpush/registry/v1"
	"mailpush.internal/proto/gen/mailpush/registry/v1/registryv1connect"
	"mailpush.internal/services/admin-api/internal/edge"
	"mailpush.internal/services/admin-api/internal/registry"
)

// shards implements RegistryService.
type shards struct {
	edge    *edge.Edge
	shards  edge.Shards
	stores  map[string]*mailv1.MailStore
	metrics *Metrics
	log     *slog.Logger

	installation string
}

var _ registryv1connect.RegistryServiceHandler = shards{}

// record logs what became of claims, for whoever wants to know which epochs were
// accepted when. An error leaves it open whether they were.
func (s shards) record(ctx context.Context, did string, began time.Time, asked, refused []registry.Claim, err error) {
	if !s.log.Enabled(ctx, slog.LevelDebug) {
		return
	}
	for _, c := range asked {
		s.log.DebugContext(ctx, "claim was judged", "did", did, "backend", c.Backend, "shard", c.Number, "epoch", c.Epoch,
			"accepted", !slices.Contains(refused, c), "known", err == nil, "began", began)
	}
}

func claim(c *registryv1.Claim) registry.Claim {
	return registry.Claim{Shard: registry.Shard{Backend: c.GetBackend(), Number: c.GetShard()}, Epoch: c.GetEpoch()}
}

func claims(list []*registryv1.Claim) []registry.Claim {
	out := make([]registry.Claim, len(list))
	for i, c := range list {
		out[i] = claim(c)
	}
	return out
}

func wireClaims(list []registry.Claim) []*registryv1.Claim {
	out := make([]*registryv1.Claim, len(list))
	for i, c := range list {
		out[i] = &registryv1.Claim{Backend: c.Backend, Shard: c.Number, Epoch: c.Epoch}
	}
	return out
}

// GetInstallation implements RegistryServiceHandler.
func (s shards) GetInstallation(
	context.Context, *connect.Request[registryv1.GetInstallationRequest],
) (*connect.Response[registryv1.GetInstallationResponse], error) {
	return connect.NewResponse(&registryv1.GetInstallationResponse{InstallationId: s.installation}), nil
}

// ShardLoads implements RegistryServiceHandler.
func (s shards) ShardLoads(
	ctx context.Context, _ *connect.Request[registryv1.ShardLoadsRequest],
) (*connect.Response[registryv1.ShardLoadsResponse], error) {
	loads, top, err := s.shards.Loads(ctx)
	if err != nil {
		return nil, err
	}
	res := &registryv1.ShardLoadsResponse{MaxEpoch: top}
	for _, l := range loads {
		res.Loads = append(res.Loads, &registryv1.ShardLoad{Backend: l.Backend, Shard: l.Number, Listeners: l.Listeners})
	}
	return connect.NewResponse(res), nil
}

// OpenEpoch implements RegistryServiceHandler.
func (s shards) OpenEpoch(
	ctx context.Context, req *connect.Request[registryv1.OpenEpochRequest],
) (*connect.Response[registryv1.OpenEpochResponse], error) {
	began, asked := time.Now(), claims(req.Msg.GetClaims())
	refused, err := s.shards.Open(ctx, asked)
	s.record(ctx, "open", began, asked, refused, err)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&registryv1.OpenEpochResponse{Refused: wireClaims(refused)}), nil
}

// ListShard implements RegistryServiceHandler.
func (s shards) ListShard(
	ctx context.Context, req *connect.Request[registryv1.ListShardRequest],
) (*connect.Response[registryv1.ListShardResponse], error) {
	after, err := decodePosition(req.Msg.GetPageToken())
	if err != nil {
		return nil, err
	}
	began, asked := time.Now(), claims(req.Msg.GetClaims())
	page, err := s.shards.List(ctx, asked, after, req.Msg.GetKnowsSlots())
	s.record(ctx, "list", began, asked, page.Refused, err)
	if err != nil {
		return nil, err
	}
	res := &registryv1.ListShardResponse{Refused: wireClaims(page.Refused)}
	named := make(map[string]bool)
	for _, b := range page.Mailboxes {
		res.Mailboxes = append(res.Mailboxes, mailbox(b))
		if !named[b.Store] {
			named[b.Store] = true
			res.Stores = append(res.Stores, s.stores[b.Store])
		}
	}
	if page.More {
		res.NextPageToken = encodePosition(page.Next)
	}
	return connect.NewResponse(res), nil
}

func mailbox(b registry.Mailbox) *registryv1.Mailbox {
	out := &registryv1.Mailbox{
		User:      b.UserID.Wire(),
		MailStore: b.Store, Permanent: true,
		CredentialVersion: b.Credential.Version, CredentialSlot: b.Credential.Slot,
	}
	for _, s := range b.Subscriptions {
		target := s.Target.Wire()
		if target == nil {
			continue // stored by a later release, which tells workers of it
		}
		out.Subscriptions = append(out.Subscriptions, &registryv1.Subscription{
			Id: s.ID, ClientId: s.Client, Content: s.Content, Mode: s.Mode, Target: target,
			WebhookUrl:    target.GetWebhook().GetUrl(), //nolint:staticcheck // a worker of the release before knows no target
			SecretVersion: s.Signing.Version, Cursors: cursors(s.Cursors),
			Confirmed: s.Endpoint.Confirmed, FailingSince: timestamp(s.Endpoint.FailingSince),
			SecretSlot: s.Signing.Slot, PreviousSecretUntil: timestamp(s.Signing.PreviousUntil),
			PreviousSecretSlot: &s.Signing.PreviousSlot,
			Replay:             s.Replay, Revision: s.Revision,
		})
	}
	return out
}

// CommitCursors implements RegistryServiceHandler.
func (s shards) CommitCursors(
	ctx context.Context, req *connect.Request[registryv1.CommitCursorsRequest],
) (*connect.Response[registryv1.CommitCursorsResponse], error) {
	began := time.Now()
	batch, asked := make([]registry.ShardCursors, len(req.Msg.GetShards())), make([]registry.Claim, len(req.Msg.GetShards()))
	rows := 0
	for i, sc := range req.Msg.GetShards() {
		batch[i].Claim = claim(sc.GetClaim())
		asked[i] = batch[i].Claim
		batch[i].DeadLetters = deadLetters(sc.GetDeadLetters(), began)
		rows += len(sc.GetCursors())
		for _, c := range sc.GetCursors() {
			batch[i].Cursors = append(batch[i].Cursors, registry.SubscriptionCursor{
				Subscription: c.GetSubscriptionId(), Replay: c.GetReplay(), Rewind: c.GetRewind(),
				Cursor: registry.CursorOf(c.GetCursor()),
			})
		}
	}
	refused, err := s.shards.Commit(ctx, batch)
	s.metrics.committed(rows, len(refused), err)
	s.record(ctx, "commit", began, asked, refused, err)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&registryv1.CommitCursorsResponse{Refused: wireClaims(refused)}), nil
}

// SuspendCredential implements RegistryServiceHandler.
func (s shards) SuspendCredential(
	ctx context.Context, req *connect.Request[registryv1.SuspendCredentialRequest],
) (*connect.Response[registryv1.SuspendCredentialResponse], error) {
	m := req.Msg
	u := registry.UserOf(m.GetUser())
	began, asked := time.Now(), claim(m.GetClaim())
	changed, err := s.shards.Suspend(ctx, asked, u, m.GetCredentialVersion(), m.GetReason())
	if fault.KindOf(err) == fault.Precondition {
		s.record(ctx, "suspend", began, []registry.Claim{asked}, []registry.Claim{asked}, nil)
	} else {
		s.record(ctx, "suspend", began, []registry.Claim{asked}, nil, err)
	}
	if err != nil {
		return nil, err
	}
	if changed {
		s.metrics.suspensions.Inc()
	}
	return connect.NewResponse(&registryv1.SuspendCredentialResponse{}), nil
}
