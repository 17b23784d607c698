// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"sync"
	"testing"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/services/admin-api/internal/registry"
)

// served makes a commit of one cursor of anna's.
func served(id string, uid uint32, replay uint64, rewind bool) []registry.ShardCursors {
	return []registry.ShardCursors{{Claim: claimOf(anna, 5), Cursors: []registry.SubscriptionCursor{{
		Subscription: id, Replay: replay, Rewind: rewind, Cursor: registry.Cursor{Folder: "INBOX", UIDValidity: 7, UID: uid},
	}}}}
}

// uidOf is how far INBOX has been served.
func uidOf(t *testing.T, s *Store, id string) uint32 {
	t.Helper()
	return must(s.Subscription(t.Context(), id))(t).Cursors[0].UID
}

func TestReplay(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		subscribe(t, s, subscription("sub_a", anna, "mobile", ""), login(1))
		for _, tt := range []struct {
			folder string
			from   uint32
			words  string
		}{
			{"INBOX", 102, "fromUid: is above 101: mails up to UID 100 have been served"},
			{"Drafts", 1, `folder: nothing has been served in "Drafts" yet`},
		} {
			_, err := s.Replay(ctx, "sub_a", tt.folder, tt.from)
			wantKind(t, fault.Invalid, err)
			if err != nil && err.Error() != "replaying subscription sub_a: "+tt.words {
				t.Errorf("got %v", err)
			}
		}
		_, err := s.Replay(ctx, "sub_b", "INBOX", 1)
		wantKind(t, fault.NotFound, err)
		same(t, "untouched", subscription("sub_a", anna, "mobile", ""), must(s.Subscription(ctx, "sub_a"))(t))

		same(t, "replayed", registry.Cursor{Folder: "INBOX", UIDValidity: 7, UID: 59}, must(s.Replay(ctx, "sub_a", "INBOX", 60))(t))
		must(s.CommitCursors(ctx, shards, served("sub_a", 105, 0, false)))(t)
		same(t, "a cursor of before the replay", uint32(59), uidOf(t, s, "sub_a"))
		must(s.CommitCursors(ctx, shards, served("sub_a", 200, 2, false)))(t)
		same(t, "a cursor of a replay that never was", uint32(59), uidOf(t, s, "sub_a"))
		must(s.CommitCursors(ctx, shards, served("sub_a", 61, 1, false)))(t)
		same(t, "a cursor of the replay", uint32(61), uidOf(t, s, "sub_a"))
		same(t, "from where it is", registry.Cursor{Folder: "INBOX", UIDValidity: 7, UID: 61}, must(s.Replay(ctx, "sub_a", "INBOX", 62))(t))
	})
}

func TestRewind(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		subscribe(t, s, subscription("sub_a", anna, "mobile", ""), login(1))
		commit := func(want uint32, batch ...[]registry.ShardCursors) {
			t.Helper()
			var all []registry.ShardCursors
			for _, b := range batch {
				all = append(all, b...)
			}
			must(s.CommitCursors(ctx, shards, all))(t)
			same(t, "cursor", want, uidOf(t, s, "sub_a"))
		}
		commit(100, served("sub_a", 40, 0, false))
		commit(40, served("sub_a", 40, 0, true))
		commit(90, served("sub_a", 90, 0, true))
		// In one call each cursor goes on from the one before it.
		commit(50, served("sub_a", 95, 0, false), served("sub_a", 50, 0, true), served("sub_a", 45, 0, false))
		commit(60, served("sub_a", 60, 0, false), served("sub_a", 30, 1, true))
	})
}

// TestReplayAgainstCommit has a worker commit what it has served while an
// administrator replays: no cursor of before the replay may outlive it.
func TestReplayAgainstCommit(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		subscribe(t, s, subscription("sub_a", anna, "mobile", ""), login(1))
		for round := range uint64(20) {
			var wg sync.WaitGroup
			for i := range uint32(3) {
				wg.Go(func() {
					if _, err := s.CommitCursors(ctx, shards, served("sub_a", 200+i, round, false)); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Go(func() {
				if _, err := s.Replay(ctx, "sub_a", "INBOX", 10); err != nil {
					t.Error(err)
				}
			})
			wg.Wait()
			if got := uidOf(t, s, "sub_a"); got != 9 {
				t.Fatalf("round %d: the cursor is at %d", round, got)
			}
		}
	})
}
