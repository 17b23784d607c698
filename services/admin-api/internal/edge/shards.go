// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"context"
	"math"
	"slices"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/services/admin-api/internal/decide"
	"mailpush.internal/services/admin-api/internal/registry"
)

// Epochs fences: a claim below the newest epoch of its shard does nothing.
type Epochs interface {
	OpenEpochs(ctx context.Context, claims []registry.Claim) (refused []registry.Claim, err error)
	Fenced(ctx context.Context, claims []registry.Claim) (fenced []registry.Claim, err error)
	MaxEpoch(ctx context.Context) (uint64, error)
	CommitCursors(ctx context.Context, shards uint32, batch []registry.ShardCursors) (refused []registry.Claim, err error)
}

// Mailboxes are the users as workers and the scheduler see them.
type Mailboxes interface {
	ListShards(ctx context.Context, stores []string, list []uint32, shards uint32, after registry.Position, size registry.PageSize) ([]registry.Mailbox, bool, error)
	ListNamed(ctx context.Context, stores []string, users []registry.UserID, after registry.Position, size registry.PageSize) ([]registry.Mailbox, bool, error)
	Groups(ctx context.Context, shards uint32, allow func(client string) bool) ([]registry.Group, error)
	SuspendCredential(ctx context.Context, user registry.UserID, version uint64, reason string) (bool, error)
	Placements(ctx context.Context) (map[string]registry.Placement, error)
	FindUsers(ctx context.Context, logins []string, localParts bool) ([][]registry.UserID, error)
}

// Shards shows the registry to workers and the scheduler, shard by shard, and
// takes back what workers have found out. It is safe for concurrent use.
type Shards struct {
	Policy    decide.Policy
	Shards    uint32 // shards per backend
	Epochs    Epochs
	Mailboxes Mailboxes
}

// Load is how many listeners a shard needs.
type Load struct {
	registry.Shard

	Listeners uint32
}

// Loads counts, per shard, the users that get a permanent listener. The database
// groups users that are alike; one decision answers for each group.
func (s Shards) Loads(ctx context.Context) (loads []Load, maxEpoch uint64, err error) {
	groups, err := s.Mailboxes.Groups(ctx, s.Shards, s.Policy.AllowedClients.Allow)
	if err != nil {
		return nil, 0, err
	}
	sums := make(map[registry.Shard]uint32)
	for _, g := range groups {
		if d := decide.Listener(s.Policy, g.Like, decide.NotAsked); d.OK() {
			sums[registry.Shard{Backend: d.Backend, Number: g.Shard}] += g.Users
		}
	}
	for at, n := range sums {
		loads = append(loads, Load{at, n})
	}
	slices.SortFunc(loads, func(a, b Load) int { return a.Compare(b.Shard) })
	maxEpoch, err = s.Epochs.MaxEpoch(ctx)
	return loads, maxEpoch, err
}

// Open makes the claims' epochs the newest of their shards.
func (s Shards) Open(ctx context.Context, claims []registry.Claim) (refused []registry.Claim, err error) {
	for _, c := range claims {
		if err := s.valid("claims", c); err != nil {
			return nil, err
		}
	}
	return s.Epochs.OpenEpochs(ctx, claims)
}

const (
	// ShardPage is how many users one page of a listing looks at.
	ShardPage = 2000
	// shardPageSubscriptions bounds the page of users that have many: each may come with
	// a URL of two kilobytes, and an answer between services has 16 MiB.
	shardPageSubscriptions = 5000
)

// Listing is what a worker asks for: mailboxes of the claimed shards, all of them or those of
// some users.
type Listing struct {
	Claims []registry.Claim
	Users  []registry.UserID // empty means all
	After  registry.Position
	// KnowsSlots tells that the worker knows slots. One of a release that does not would look
	// for logins elsewhere, and report that there are none: it gets no mailbox whose login is
	// in one.
	KnowsSlots bool
}

// Page is one page of the mailboxes of some shards.
type Page struct {
	Mailboxes []registry.Mailbox
	Refused   []registry.Claim // left out: a higher epoch is open
	Next      registry.Position
	More      bool // the listing goes on after Next
}

// List returns one page of the mailboxes that get a listener in the claimed
// shards, each with the subscriptions whose client is allowed, and with what doveadm is to
// be asked for where it opens the mailbox.
func (s Shards) List(ctx context.Context, l Listing) (Page, error) {
	if err := s.distinct(l.Claims); err != nil {
		return Page{}, err
	}
	if err := s.claimed(l); err != nil {
		return Page{}, err
	}
	refused, err := s.Epochs.Fenced(ctx, l.Claims)
	if err != nil {
		return Page{}, err
	}
	all, more, err := s.read(ctx, l, refused)
	if err != nil {
		return Page{}, err
	}
	page := Page{Refused: refused, More: more}
	if page.More {
		last := all[len(all)-1]
		page.Next = registry.Position{Cell: last.Cell(), Key: last.Key()}
	}
	page.Mailboxes = s.eligible(all)
	if !l.KnowsSlots {
		page.Mailboxes = slices.DeleteFunc(page.Mailboxes, func(b registry.Mailbox) bool { return b.Credential.Slot > 0 })
	}
	return page, nil
}

// read reads a page of what is in the shards that were not refused.
func (s Shards) read(ctx context.Context, l Listing, refused []registry.Claim) ([]registry.Mailbox, bool, error) {
	var list []uint32
	for _, c := range l.Claims {
		if !slices.Contains(refused, c) {
			list = append(list, c.Number)
		}
	}
	size := registry.PageSize{Users: ShardPage, Subscriptions: shardPageSubscriptions}
	stores, err := s.placed(ctx, l.Claims[0].Backend)
	if err != nil {
		return nil, false, err
	}
	if len(l.Users) == 0 {
		return s.Mailboxes.ListShards(ctx, stores, list, s.Shards, l.After, size)
	}
	users := slices.DeleteFunc(slices.Clone(l.Users), func(u registry.UserID) bool {
		return !slices.Contains(list, registry.ShardOf(u, s.Shards))
	})
	return s.Mailboxes.ListNamed(ctx, stores, users, l.After, size)
}

// claimed refuses users of shards that are not claimed.
func (s Shards) claimed(l Listing) error {
	for _, u := range l.Users {
		number := registry.ShardOf(u, s.Shards)
		if !slices.ContainsFunc(l.Claims, func(c registry.Claim) bool { return c.Number == number }) {
			return fault.Field("users", "user %s is in shard %d, which is not claimed", u, number)
		}
	}
	return nil
}

func (s Shards) eligible(all []registry.Mailbox) []registry.Mailbox {
	var out []registry.Mailbox
	for _, b := range all {
		if !decide.Listener(s.Policy, b.User, decide.NotAsked).OK() {
			continue
		}
		b.Doveadm, _ = s.Policy.ByDoveadm(b.User)
		b.Subscriptions = slices.DeleteFunc(b.Subscriptions, func(sub registry.Subscription) bool {
			return !s.Policy.AllowedClients.Allow(sub.Client)
		})
		out = append(out, b)
	}
	return out
}

// distinct refuses claims that are not one listing: of several backends, or a
// shard twice.
func (s Shards) distinct(claims []registry.Claim) error {
	seen := make(map[uint32]bool, len(claims))
	for _, c := range claims {
		if err := s.valid("claims", c); err != nil {
			return err
		}
		if c.Backend != claims[0].Backend {
			return fault.Field("claims.backend", "all claims must be of one backend")
		}
		if seen[c.Number] {
			return fault.Field("claims.shard", "shard %d is claimed twice", c.Number)
		}
		seen[c.Number] = true
	}
	return nil
}

// Commit stores how far subscriptions have been served, and what was stepped over.
func (s Shards) Commit(ctx context.Context, batch []registry.ShardCursors) (refused []registry.Claim, err error) {
	for _, b := range batch {
		if err := s.valid("shards.claim", b.Claim); err != nil {
			return nil, err
		}
	}
	return s.Epochs.CommitCursors(ctx, s.Shards, batch)
}

// Suspend marks a credential as refused by the mail store; it says whether that
// changed anything.
func (s Shards) Suspend(
	ctx context.Context, claim registry.Claim, user registry.UserID, version uint64, reason string,
) (bool, error) {
	if registry.ShardOf(user, s.Shards) != claim.Number {
		return false, fault.Field("claim.shard", "user %s is not in shard %d", user, claim.Number)
	}
	if err := s.valid("claim", claim); err != nil {
		return false, err
	}
	fenced, err := s.Epochs.Fenced(ctx, []registry.Claim{claim})
	if err != nil {
		return false, err
	}
	if len(fenced) > 0 {
		return false, fault.New(fault.Precondition, "a higher epoch than %d is open for shard %d of %s",
			claim.Epoch, claim.Number, claim.Backend)
	}
	return s.Mailboxes.SuspendCredential(ctx, user, version, reason)
}

func (s Shards) valid(field string, c registry.Claim) error { return validClaim(field, c, s.Shards) }

func validClaim(field string, c registry.Claim, shards uint32) error {
	if c.Number >= shards {
		return fault.Field(field+".shard", "there are %d shards, got %d", shards, c.Number)
	}
	if c.Epoch > math.MaxInt64 {
		return fault.Field(field+".epoch", "is no etcd revision")
	}
	return nil
}
