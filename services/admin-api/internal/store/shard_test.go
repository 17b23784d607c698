// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/pkg/shard"
	"mailpush.internal/services/admin-api/internal/decide"
	"mailpush.internal/services/admin-api/internal/registry"
)

const shards = 4

// listShards lists a page of users, and checks that it says so when it is full.
func listShards(
	t *testing.T, s *Store, list []uint32, of uint32, after registry.Position, users int,
) []registry.Mailbox {
	t.Helper()
	stores := []string{"demo", "more"}
	page, more, err := s.ListShards(t.Context(), stores, list, of, after, registry.PageSize{Users: users, Subscriptions: 99})
	if err != nil || more != (len(page) == users) {
		t.Fatalf("%d of %d users, more: %v, error %v", len(page), users, more, err)
	}
	return page
}

// TestPageOfAShardIsBoundedBySubscriptions also with users that have more than fit.
func TestPageOfAShardIsBoundedBySubscriptions(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		for i, have := range []int{2, 1, 5, 1, 1, 1} {
			for n := range have {
				u := registry.UserID{Context: "1", User: fmt.Sprint(i)}
				subscribe(t, s, subscription(fmt.Sprintf("sub_%d_%d", i, n), u, "web", fmt.Sprint(n)), nil)
			}
		}
		seen, pages := make(map[registry.UserID]int), 0
		for after, more := (registry.Position{}), true; more; pages++ {
			var page []registry.Mailbox
			var err error
			page, more, err = s.ListShards(t.Context(), []string{"demo"}, []uint32{0}, 1, after, registry.PageSize{Users: 9, Subscriptions: 3})
			sum := 0
			for _, box := range page {
				seen[box.UserID] += len(box.Subscriptions)
				sum += len(box.Subscriptions)
				after = registry.Position{Cell: box.Cell(), Key: box.Key()}
			}
			if err != nil || len(page) == 0 || sum > 3 && len(page) > 1 {
				t.Fatalf("page %d: %d users, %d subscriptions, error %v", pages, len(page), sum, err)
			}
		}
		if len(seen) != 6 || seen[registry.UserID{Context: "1", User: "2"}] != 5 || pages < 4 {
			t.Errorf("%d pages: %v", pages, seen)
		}
	})
}

// TestNamedUsersAreListedAsInTheirShards also when they have more than a page has room for,
// and among users that are gone, or in other mail stores.
func TestNamedUsersAreListedAsInTheirShards(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		var named []registry.UserID
		for i := range 30 {
			u := registry.UserID{Context: "1", User: fmt.Sprint(i)}
			store := "demo"
			if i%7 == 0 {
				store = "elsewhere"
			}
			if err := subscribeOne(t.Context(), s, enrolment(t, s, subscription(fmt.Sprintf("sub_%d", i), u, "web", ""), store, login(1))); err != nil {
				t.Fatal(err)
			}
			if i%3 != 0 {
				named = append(named, u)
			}
		}
		named = append(named, named[0], registry.UserID{Context: "1", User: "nobody"})
		var want []registry.Mailbox
		for _, box := range listShards(t, s, []uint32{0, 1, 2, 3}, shards, registry.Position{}, 99) {
			if slices.Contains(named, box.UserID) {
				want = append(want, box)
			}
		}
		for _, fits := range []int{1, 4, 99} {
			var got []registry.Mailbox
			for after, more := (registry.Position{}), true; more; {
				page, goesOn, err := s.ListNamed(t.Context(), []string{"demo", "more"}, named, after, registry.PageSize{Users: 99, Subscriptions: fits})
				if err != nil || len(page) == 0 || len(page) > fits {
					t.Fatalf("a page of %d users, error %v", len(page), err)
				}
				last := page[len(page)-1]
				got, more, after = append(got, page...), goesOn, registry.Position{Cell: last.Cell(), Key: last.Key()}
			}
			same(t, fmt.Sprintf("pages of %d", fits), want, got)
		}
		if page, more, err := s.ListNamed(t.Context(), []string{"demo"}, nil, registry.Position{}, registry.PageSize{Users: 9, Subscriptions: 9}); len(page) != 0 || more || err != nil {
			t.Errorf("nobody: %v, more %v, error %v", page, more, err)
		}
	})
}

func TestListShardHoldsEachUserOnce(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		const users = 60
		for i := range users {
			u := registry.UserID{Context: "1", User: fmt.Sprint(i)}
			sub := subscription(fmt.Sprintf("sub_%d", i), u, "web", "")
			store := "demo"
			if i%10 == 0 {
				store = "elsewhere"
			}
			if err := subscribeOne(t.Context(), s, enrolment(t, s, sub, store, login(1))); err != nil {
				t.Fatal(err)
			}
		}
		for _, n := range []uint32{1, shards, 2 * shards} {
			seen := 0
			for at := range n {
				after := registry.Position{}
				for {
					page := listShards(t, s, []uint32{at}, n, after, 3)
					for _, box := range page {
						seen++
						if shard.Of(box.Context, box.UserID.User, n) != at || len(box.Subscriptions) != 1 ||
							len(box.Subscriptions[0].Cursors) != 1 || box.Subscriptions[0].UserID != box.UserID {
							t.Errorf("shard %d of %d holds %+v", at, n, box)
						}
						after = registry.Position{Cell: box.Cell(), Key: box.Key()}
					}
					if len(page) < 3 {
						break
					}
				}
			}
			if seen != users*9/10 {
				t.Errorf("%d shards hold %d users, want %d", n, seen, users*9/10)
			}
		}
		want := 0
		for _, u := range must(s.ListUsers(t.Context(), "", "", users))(t) {
			if at := shard.Of(u.Context, u.UserID.User, 1024); at%2 == 0 && u.Store == "demo" {
				want++
			}
		}
		var even []uint32 // more runs than one statement names
		for at := uint32(1022); at > 0; at -= 2 {
			even = append(even, at)
		}
		even = append(even, 0)
		got := 0
		after := registry.Position{}
		for {
			page := listShards(t, s, even, 1024, after, 4)
			if got += len(page); len(page) < 4 {
				break
			}
			after = registry.Position{Cell: page[3].Cell(), Key: page[3].Key()}
		}
		if got != want {
			t.Errorf("every second of 1024 shards holds %d users, want %d", got, want)
		}
	})
}

// TestGroupsDecideLikeUsers gives every combination of facts to some users and
// compares the sums of the groups with one decision per user.
func TestGroupsDecideLikeUsers(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		fill(t, s)
		base := decide.Policy{
			AllowPermanentPush: true, CredStorage: true, PermanentBackends: map[string]bool{"imapidle": true, "dovecot": false},
			Stores: map[string]string{"demo": "imapidle", "other": "dovecot"},
		}
		for name, change := range map[string]func(*decide.Policy){
			"all clients":  func(*decide.Policy) {},
			"some clients": func(p *decide.Policy) { p.AllowedClients = decide.Clients{"m*"} },
			"one of two":   func(p *decide.Policy) { p.AllowedClients = decide.Clients{"w*"} },
			"no client":    func(p *decide.Policy) { p.AllowedClients = decide.Clients{"none"} },
			"no storage":   func(p *decide.Policy) { p.CredStorage = false },
			"master user":  func(p *decide.Policy) { p.MasterUser = true },
			"push off":     func(p *decide.Policy) { p.AllowPermanentPush = false },
		} {
			p := base
			change(&p)
			want := make(map[uint32]uint32)
			for _, u := range must(s.ListUsers(t.Context(), "", "", 1000))(t) {
				if decide.Listener(p, u, decide.NotAsked).OK() {
					want[shard.Of(u.Context, u.UserID.User, shards)]++
				}
			}
			got := make(map[uint32]uint32)
			for _, g := range must(s.Groups(t.Context(), shards, p.AllowedClients.Allow))(t) {
				if decide.Listener(p, g.Like, decide.NotAsked).OK() {
					got[g.Shard] += g.Users
				}
			}
			same(t, name, want, got)
		}
	})
}

func fill(t *testing.T, s *Store) {
	t.Helper()
	n := 0
	for _, store := range []string{"demo", "other", "gone", ""} {
		for _, state := range []registry.CredentialState{registry.CredentialNone, registry.CredentialStored, registry.CredentialSuspended} {
			for _, kind := range []registry.CredentialKind{registry.KindPassword, registry.KindMaster} {
				for _, clients := range []string{"mobile", "web", "mobile web"} {
					n++
					u := registry.UserID{Context: fmt.Sprint(n % 3), User: fmt.Sprint(n)}
					cred := &registry.Credential{State: state, Kind: kind, Reason: fmt.Sprint("reason ", n), Version: 1}
					if state != registry.CredentialNone {
						cred.Slot = uint32(n % 2 * 7)
					}
					for c := range strings.FieldsSeq(clients) {
						e := enrolment(t, s, subscription(fmt.Sprintf("sub_%d%s", n, c), u, c, ""), store, cred)
						if err := subscribeOne(t.Context(), s, e); err != nil {
							t.Fatal(err)
						}
					}
				}
			}
		}
	}
	if err := s.db.Model(&userRow{}).Where("user_id LIKE ?", "%7").Update("enabled", false).Error; err != nil {
		t.Fatal(err)
	}
}

func TestEpochsOnlyGrow(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		claim := func(shard uint32, epoch uint64) registry.Claim {
			return registry.Claim{Shard: registry.Shard{Backend: "imapidle", Number: shard}, Epoch: epoch}
		}
		if got := must(s.MaxEpoch(ctx))(t); got != 0 {
			t.Errorf("highest epoch of an empty registry: %d", got)
		}
		if refused := must(s.OpenEpochs(ctx, []registry.Claim{claim(1, 10), claim(2, 10), {Shard: registry.Shard{Backend: "b", Number: 1}, Epoch: 99}}))(t); len(refused) != 0 {
			t.Errorf("fresh epochs refused: %v", refused)
		}
		// One shard twice in one call, a lower one, an equal one, a higher one.
		refused := must(s.OpenEpochs(ctx, []registry.Claim{claim(1, 9), claim(2, 10), claim(3, 5), claim(3, 6), claim(1, 11)}))(t)
		same(t, "refused", []registry.Claim{claim(1, 9), claim(3, 5)}, refused)
		fenced := must(s.Fenced(ctx, []registry.Claim{claim(1, 10), claim(1, 11), claim(3, 6), claim(9, 1)}))(t)
		same(t, "fenced", []registry.Claim{claim(1, 10)}, fenced)
		if got := must(s.MaxEpoch(ctx))(t); got != 99 {
			t.Errorf("highest epoch: %d", got)
		}
	})
}

func TestCommitCursors(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		subscribe(t, s, subscription("sub_a", anna, "mobile", ""), login(1))
		subscribe(t, s, subscription("sub_b", bob, "mobile", ""), login(1))
		claimOf := func(u registry.UserID, epoch uint64) registry.Claim {
			return registry.Claim{Shard: registry.Shard{Backend: "imapidle", Number: shard.Of(u.Context, u.User, 1<<20)}, Epoch: epoch}
		}
		commit := func(c registry.Claim, cursors ...registry.SubscriptionCursor) []registry.Claim {
			t.Helper()
			return must(s.CommitCursors(ctx, 1<<20, []registry.ShardCursors{{Claim: c, Cursors: cursors}}))(t)
		}
		at := func(sub, folder string, validity, uid uint32) registry.SubscriptionCursor {
			return registry.SubscriptionCursor{Subscription: sub, Cursor: registry.Cursor{Folder: folder, UIDValidity: validity, UID: uid}}
		}
		inbox := func(sub string) registry.Cursor {
			t.Helper()
			return must(s.Subscription(ctx, sub))(t).Cursors[0]
		}
		must(s.OpenEpochs(ctx, []registry.Claim{claimOf(anna, 5), claimOf(bob, 5)}))(t)

		// Two shards in one batch, one of them fenced.
		refused := must(s.CommitCursors(ctx, 1<<20, []registry.ShardCursors{
			{Claim: claimOf(anna, 5), Cursors: []registry.SubscriptionCursor{at("sub_a", "INBOX", 7, 101), at("sub_a", "INBOX", 7, 105), at("sub_a", "INBOX", 7, 103)}},
			{Claim: claimOf(bob, 4), Cursors: []registry.SubscriptionCursor{at("sub_b", "INBOX", 7, 200)}},
		}))(t)
		same(t, "refused", []registry.Claim{claimOf(bob, 4)}, refused)
		same(t, "furthest of one batch", registry.Cursor{Folder: "INBOX", UIDValidity: 7, UID: 105}, inbox("sub_a"))
		same(t, "fenced", registry.Cursor{Folder: "INBOX", UIDValidity: 7, UID: 100}, inbox("sub_b"))

		commit(claimOf(anna, 5), at("sub_a", "INBOX", 7, 104))
		same(t, "never backwards", registry.Cursor{Folder: "INBOX", UIDValidity: 7, UID: 105}, inbox("sub_a"))
		commit(claimOf(anna, 6), at("sub_a", "INBOX", 8, 3))
		same(t, "new UIDVALIDITY", registry.Cursor{Folder: "INBOX", UIDValidity: 8, UID: 3}, inbox("sub_a"))

		// A claim to one shard is no right to another, and the unknown is passed over.
		commit(claimOf(anna, 5), at("sub_b", "INBOX", 7, 999), at("sub_gone", "INBOX", 7, 1), at("sub_a", "Ablage ", 1, 4294967295))
		same(t, "foreign shard", registry.Cursor{Folder: "INBOX", UIDValidity: 7, UID: 100}, inbox("sub_b"))
		same(t, "second folder", 2, len(must(s.Subscription(ctx, "sub_a"))(t).Cursors))
		var rows int64
		if err := s.db.Model(&cursorRow{}).Where("subscription_id = ?", "sub_gone").Count(&rows).Error; err != nil || rows != 0 {
			t.Errorf("cursors of an unknown subscription: %d, error %v", rows, err)
		}
	})
}

// TestWritersOfOneUser lets subscribing, removing and committing race: whatever
// the order, no cursor or registration is left without its reason to be.
func TestWritersOfOneUser(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		var wg sync.WaitGroup
		var sealed atomic.Uint32
		for i := range 8 {
			wg.Go(func() {
				id := fmt.Sprintf("sub_%d", i)
				for range 5 {
					sub := subscription(id, anna, fmt.Sprintf("c%d", i%3), id)
					var err error = fault.New(fault.Unavailable, "not tried yet")
					for fault.KindOf(err) == fault.Unavailable { // others have stored a newer login
						n := sealed.Add(1)
						err = subscribeOne(t.Context(), s, enrolment(t, s, sub, "demo", loginIn(1+n, uint64(n))))
					}
					if err != nil {
						t.Errorf("subscribing: %v", err)
					}
					_, err = s.CommitCursors(t.Context(), shards, []registry.ShardCursors{{
						Claim: registry.Claim{Shard: registry.Shard{Backend: "imapidle", Number: shard.Of(anna.Context, anna.User, shards)}, Epoch: 1},
						Cursors: []registry.SubscriptionCursor{
							{Subscription: id, Cursor: registry.Cursor{Folder: "INBOX", UIDValidity: 7, UID: 200}},
							{Subscription: fmt.Sprintf("sub_%d", (i+1)%8), Cursor: registry.Cursor{Folder: "INBOX", UIDValidity: 7, UID: 200}},
						},
					}})
					if err != nil {
						t.Errorf("committing: %v", err)
					}
					if _, err := s.Unsubscribe(t.Context(), id); err != nil {
						t.Errorf("unsubscribing: %v", err)
					}
				}
			})
		}
		wg.Wait()
		for _, table := range []string{"users", "registrations", "subscriptions", "cursors"} {
			var rows int64
			if err := s.db.Table(table).Count(&rows).Error; err != nil || rows != 0 {
				t.Errorf("%d rows left in %s, error %v", rows, table, err)
			}
		}
	})
}
