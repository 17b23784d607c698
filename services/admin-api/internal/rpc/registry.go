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

// shards implements RegistryService. Callers are services, known by their certificates; what
// they may do to a shard depends on the claim they show, which the store judges under its
// lock. A claim that is refused is no error: the worker's other claims are none the worse.
type shards struct {
	edge    *edge.Edge
	shards  edge.Shards
	stores  map[string]*mailv1.MailStore
	metrics *Metrics
	log     *slog.Logger

	installation, policy string
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

// claim reads a claim as it is: whether there is such a shard the edge checks.
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

// GetInstallation implements RegistryServiceHandler. A worker asks before it joins a cluster,
// which may be another installation's, and then every few seconds for the policy: so it
// takes no question to the database.
func (s shards) GetInstallation(
	context.Context, *connect.Request[registryv1.GetInstallationRequest],
) (*connect.Response[registryv1.GetInstallationResponse], error) {
	return connect.NewResponse(&registryv1.GetInstallationResponse{InstallationId: s.installation, Policy: s.policy}), nil
}

// ShardLoads implements RegistryServiceHandler. Shards without a load are left out: there are
// thousands, and most installations are small.
func (s shards) ShardLoads(
	ctx context.Context, req *connect.Request[registryv1.ShardLoadsRequest],
) (*connect.Response[registryv1.ShardLoadsResponse], error) {
	if req.Msg.GetOnlyMaxEpoch() {
		top, err := s.shards.Epochs.MaxEpoch(ctx)
		if err != nil {
			return nil, err
		}
		return connect.NewResponse(&registryv1.ShardLoadsResponse{MaxEpoch: top}), nil
	}
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

// OpenEpoch implements RegistryServiceHandler. An error leaves it open whether the epochs
// were opened; the worker opens them again, which changes nothing.
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

// FindUsers implements RegistryServiceHandler.
func (s shards) FindUsers(
	ctx context.Context, req *connect.Request[registryv1.FindUsersRequest],
) (*connect.Response[registryv1.FindUsersResponse], error) {
	found, err := s.shards.Mailboxes.FindUsers(ctx, req.Msg.GetLogins(), req.Msg.GetLocalParts())
	if err != nil {
		return nil, err
	}
	res := &registryv1.FindUsersResponse{}
	for _, users := range found {
		of := &registryv1.LoginUsers{}
		for _, u := range users {
			of.Users = append(of.Users, u.Wire())
		}
		res.Logins = append(res.Logins, of)
	}
	return connect.NewResponse(res), nil
}

// ListShard implements RegistryServiceHandler. The mail stores that a page needs come with
// it, each once, so that a worker needs no configuration of its own and knows no store
// that none of its users has.
func (s shards) ListShard(
	ctx context.Context, req *connect.Request[registryv1.ListShardRequest],
) (*connect.Response[registryv1.ListShardResponse], error) {
	after, err := decodePosition(req.Msg.GetPageToken())
	if err != nil {
		return nil, err
	}
	began, asked := time.Now(), claims(req.Msg.GetClaims())
	listing := edge.Listing{Claims: asked, After: after, KnowsSlots: req.Msg.GetKnowsSlots()}
	for _, user := range req.Msg.GetUsers() {
		listing.Users = append(listing.Users, registry.UserOf(user))
	}
	page, err := s.shards.List(ctx, listing)
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

// mailbox is a user as workers see one. All that are listed have a permanent listener:
// those that get none are left out before.
func mailbox(b registry.Mailbox) *registryv1.Mailbox {
	out := &registryv1.Mailbox{
		User:      b.UserID.Wire(),
		MailStore: b.Store, Permanent: true,
		CredentialVersion: b.Credential.Version, CredentialSlot: b.Credential.Slot, Login: b.Doveadm,
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
			PreviousSecretSlot: &s.Signing.PreviousSlot, HeaderSlot: s.Headers.Slot,
			Replay: s.Replay, Revision: s.Revision,
			AbsentSince: timestamp(s.Endpoint.AbsentSince), AbsentSeen: timestamp(s.Endpoint.AbsentSeen),
		})
	}
	return out
}

// CommitCursors implements RegistryServiceHandler. Who asks is told which claims are fenced,
// and drops what it runs under them: that is how a worker that etcd does not reach hears of
// its successor.
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
			batch[i].Cursors = append(batch[i].Cursors, subscriptionCursor(c))
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

// subscriptionCursor reads a cursor, and where it was before a reset.
func subscriptionCursor(c *registryv1.SubscriptionCursor) registry.SubscriptionCursor {
	out := registry.SubscriptionCursor{
		Subscription: c.GetSubscriptionId(), Replay: c.GetReplay(), Rewind: c.GetRewind(), Cursor: registry.CursorOf(c.GetCursor()),
	}
	if from := c.GetResetFrom(); from != nil {
		out.ResetFrom = registry.Cursor{Folder: out.Folder, UIDValidity: from.GetUidValidity(), UID: from.GetUid()}
	}
	return out
}

// SuspendCredential implements RegistryServiceHandler. It is about one claim, so that a
// fenced one is an error here, a Precondition. One that changes nothing is counted by
// nobody: several tries may report the same refused login.
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
