// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"context"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/services/admin-api/internal/decide"
	"mailpush.internal/services/admin-api/internal/registry"
)

// fakeShards shows one list of mailboxes and knows one newest epoch.
type fakeShards struct {
	boxes  []registry.Mailbox
	groups []registry.Group
	epoch  uint64
	asked  []uint32
	stores []string // asked for

	placements map[string]registry.Placement
}

func (f *fakeShards) Fenced(_ context.Context, claims []registry.Claim) (out []registry.Claim, err error) {
	for _, c := range claims {
		if c.Epoch < f.epoch {
			out = append(out, c)
		}
	}
	return out, nil
}

func (f *fakeShards) OpenEpochs(ctx context.Context, claims []registry.Claim) ([]registry.Claim, error) {
	return f.Fenced(ctx, claims)
}

func (f *fakeShards) MaxEpoch(context.Context) (uint64, error) { return f.epoch, nil }

func (*fakeShards) CommitCursors(context.Context, uint32, []registry.ShardCursors) ([]registry.Claim, error) {
	return nil, nil
}

func (f *fakeShards) ListShards(
	_ context.Context, stores []string, list []uint32, _ uint32, _ registry.Position, size registry.PageSize,
) ([]registry.Mailbox, bool, error) {
	f.asked, f.stores = list, stores
	return f.boxes[:min(size.Users, len(f.boxes))], len(f.boxes) >= size.Users, nil
}

func (f *fakeShards) ListNamed(
	_ context.Context, stores []string, users []registry.UserID, _ registry.Position, _ registry.PageSize,
) (out []registry.Mailbox, more bool, err error) {
	f.stores = stores
	for _, b := range f.boxes {
		if slices.Contains(users, b.UserID) {
			out = append(out, b)
		}
	}
	return out, false, nil
}

func (f *fakeShards) Groups(context.Context, uint32, func(string) bool) ([]registry.Group, error) {
	return f.groups, nil
}

func (*fakeShards) FindUsers(context.Context, []string, bool) ([][]registry.UserID, error) {
	return nil, nil
}

func (f *fakeShards) Placements(context.Context) (map[string]registry.Placement, error) {
	return f.placements, nil
}

func (*fakeShards) SuspendCredential(context.Context, registry.UserID, uint64, string) (bool, error) {
	return true, nil
}

func newShards(f *fakeShards) Shards {
	return Shards{
		Policy: decide.Policy{
			AllowPermanentPush: true, CredStorage: true, PermanentBackends: map[string]bool{"imapidle": true},
			AllowedClients: decide.Clients{"mobile"}, Stores: map[string]string{"demo": "imapidle"},
		},
		Shards: 4, Epochs: f, Mailboxes: f,
	}
}

func box(state registry.CredentialState, clients ...string) registry.Mailbox {
	b := registry.Mailbox{User: registry.User{
		UserID: anna, Enabled: true, Store: "demo", Clients: clients,
		Credential: registry.Credential{State: state, Kind: registry.KindPassword},
	}}
	for _, c := range clients {
		b.Subscriptions = append(b.Subscriptions, registry.Subscription{ID: c, Client: c})
	}
	return b
}

func TestListShowsWhatIsAllowedOnly(t *testing.T) {
	t.Parallel()
	f := &fakeShards{epoch: 5, boxes: []registry.Mailbox{
		box(registry.CredentialStored, "mobile", "web"), box(registry.CredentialStored, "web"), box(registry.CredentialSuspended, "mobile"),
	}}
	mine, stale := registry.Claim{Shard: idle(1), Epoch: 5}, registry.Claim{Shard: idle(2), Epoch: 4}
	page, err := newShards(f).List(t.Context(), Listing{Claims: []registry.Claim{mine, stale}, KnowsSlots: true})
	if err != nil || page.More || len(page.Mailboxes) != 1 {
		t.Fatalf("got %+v, %v", page, err)
	}
	if subs := page.Mailboxes[0].Subscriptions; len(subs) != 1 || subs[0].Client != "mobile" {
		t.Errorf("subscriptions of a client that is not allowed: %+v", subs)
	}
	if diff := cmp.Diff([]registry.Claim{stale}, page.Refused) + cmp.Diff([]uint32{1}, f.asked); diff != "" {
		t.Errorf("a fenced claim (-want +got):\n%s", diff)
	}
	for range ShardPage {
		f.boxes = append(f.boxes, box(registry.CredentialNone, "mobile"))
	}
	page, err = newShards(f).List(t.Context(), Listing{Claims: []registry.Claim{mine}, KnowsSlots: true})
	if err != nil || !page.More || page.Next != (registry.Position{Cell: anna.Cell(), Key: anna.Key()}) {
		t.Errorf("a full page: more %v, next %+v, error %v", page.More, page.Next, err)
	}
}

func TestMailboxesInSlotsAreKeptFromWorkersThatKnowNone(t *testing.T) {
	t.Parallel()
	bobs := box(registry.CredentialStored, "mobile")
	bobs.UserID, bobs.Credential.Slot = bob, 7
	f := &fakeShards{epoch: 5, boxes: []registry.Mailbox{box(registry.CredentialStored, "mobile"), bobs}}
	mine := []registry.Claim{{Shard: idle(1), Epoch: 5}}
	for knows, want := range map[bool]int{true: 2, false: 1} {
		page, err := newShards(f).List(t.Context(), Listing{Claims: mine, KnowsSlots: knows})
		if err != nil || len(page.Mailboxes) != want || page.Mailboxes[0].UserID != anna {
			t.Errorf("knows slots: %v: %+v, %v", knows, page.Mailboxes, err)
		}
	}
}

// A worker is shown whom it asks for, in the shards that it may act for.
func TestListOfNamedUsers(t *testing.T) {
	t.Parallel()
	annas, bobs := box(registry.CredentialStored, "mobile"), box(registry.CredentialStored, "mobile")
	bobs.UserID = bob
	f := &fakeShards{epoch: 5, boxes: []registry.Mailbox{annas, bobs}}
	s := newShards(f)
	claimOf := func(u registry.UserID, epoch uint64) registry.Claim {
		return registry.Claim{Shard: idle(registry.ShardOf(u, s.Shards)), Epoch: epoch}
	}
	page, err := s.List(t.Context(), Listing{Claims: []registry.Claim{claimOf(anna, 5)}, Users: []registry.UserID{anna}})
	if err != nil || len(page.Mailboxes) != 1 || page.Mailboxes[0].UserID != anna || page.More {
		t.Errorf("got %+v, %v", page, err)
	}
	if diff := cmp.Diff([]string{"demo"}, f.stores); diff != "" {
		t.Errorf("mail stores (-want +got):\n%s", diff)
	}
	page, err = s.List(t.Context(), Listing{
		Claims: []registry.Claim{claimOf(anna, 5), claimOf(bob, 4)}, Users: []registry.UserID{bob},
	})
	if err != nil || len(page.Mailboxes) != 0 || len(page.Refused) != 1 {
		t.Errorf("of a fenced claim: %+v, %v", page, err)
	}
	_, err = s.List(t.Context(), Listing{Claims: []registry.Claim{claimOf(anna, 5)}, Users: []registry.UserID{anna, bob}})
	if fault.KindOf(err) != fault.Invalid || !strings.HasPrefix(err.Error(), "users: user 402@1 is in shard") {
		t.Errorf("of a shard that is not claimed: %v", err)
	}
}

func TestLoadsAddUpGroups(t *testing.T) {
	t.Parallel()
	group := func(shard, users uint32, b registry.Mailbox) registry.Group {
		return registry.Group{Shard: shard, Like: b.User, Users: users}
	}
	f := &fakeShards{epoch: 9, groups: []registry.Group{
		group(3, 4, box(registry.CredentialStored, "mobile")), group(1, 2, box(registry.CredentialStored, "mobile")),
		group(3, 5, box(registry.CredentialStored, "mobile")), group(2, 7, box(registry.CredentialSuspended, "mobile")),
	}}
	loads, top, err := newShards(f).Loads(t.Context())
	if diff := cmp.Diff([]Load{{idle(1), 2}, {idle(3), 9}}, loads); diff != "" || top != 9 || err != nil {
		t.Errorf("highest epoch %d, error %v, loads (-want +got):\n%s", top, err, diff)
	}
}

func TestClaimsThatMakeNoSense(t *testing.T) {
	t.Parallel()
	s := newShards(&fakeShards{})
	claim := func(backend string, shard uint32, epoch uint64) registry.Claim {
		return registry.Claim{Shard: registry.Shard{Backend: backend, Number: shard}, Epoch: epoch}
	}
	for want, claims := range map[string][]registry.Claim{
		"claims.shard: there are 4 shards": {claim("imapidle", 4, 1)},
		"claims.shard: shard 1 is claimed": {claim("imapidle", 1, 1), claim("imapidle", 1, 2)},
		"claims.backend: ":                 {claim("imapidle", 1, 1), claim("dovecot", 2, 2)},
		"claims.epoch: ":                   {claim("imapidle", 1, math.MaxUint64)},
	} {
		_, err := s.List(t.Context(), Listing{Claims: claims})
		if fault.KindOf(err) != fault.Invalid || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v: %v", claims, err)
		}
	}
	foreign := claim("imapidle", (registry.ShardOf(anna, 4)+1)%4, 1)
	if _, err := s.Suspend(t.Context(), foreign, anna, 1, "x"); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a user of another shard: %v", err)
	}
}
