// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"mailpush.internal/services/admin-api/internal/registry"
)

func deadLetter(id string, uid uint32) registry.DeadLetter {
	return registry.DeadLetter{
		Subscription: id, Folder: "INBOX", UIDValidity: 7, First: uid, Last: uid + 1, Reason: "413 Content Too Large",
		At: noon().Add(time.Duration(uid) * time.Second),
	}
}

func TestDeadLetters(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		subscribe(t, s, subscription("sub_a", anna, "mobile", ""), login(1))
		subscribe(t, s, subscription("sub_b", bob, "mobile", ""), login(1))
		must(s.OpenEpochs(ctx, []registry.Claim{claimOf(anna, 5), claimOf(bob, 5)}))(t)
		commit := func(c registry.Claim, list ...registry.DeadLetter) {
			t.Helper()
			must(s.CommitCursors(ctx, shards, []registry.ShardCursors{{Claim: c, DeadLetters: list}}))(t)
		}
		listed := func(id string) (out []string) {
			t.Helper()
			var at registry.Place
			for {
				page, last, err := s.ListDeadLetters(ctx, id, at, 40)
				if err != nil {
					t.Fatal(err)
				}
				for _, d := range page {
					out = append(out, fmt.Sprint(d.Subscription, " ", d.First))
				}
				if at = last; last == (registry.Place{}) {
					return out
				}
				if len(page) < 40 {
					t.Fatalf("a page of %d says that more follow", len(page))
				}
			}
		}
		for range 2 { // a commit that is tried again tells nothing twice
			commit(claimOf(anna, 5), deadLetter("sub_a", 3), deadLetter("sub_a", 1), deadLetter("sub_b", 2), deadLetter("sub_c", 2))
			commit(claimOf(bob, 5), deadLetter("sub_b", 2))
		}
		commit(claimOf(anna, 4), deadLetter("sub_a", 9)) // fenced
		same(t, "all", []string{"sub_a 3", "sub_b 2", "sub_a 1"}, listed(""))
		same(t, "of one", []string{"sub_b 2"}, listed("sub_b"))
		page, _, err := s.ListDeadLetters(ctx, "sub_b", registry.Place{}, 1)
		if err != nil {
			t.Fatal(err)
		}
		want := deadLetter("sub_b", 2)
		want.UserID = bob
		same(t, "dead letter", []registry.DeadLetter{want}, page)

		var many []registry.DeadLetter
		for uid := range uint32(deadLettersKept + 20) {
			d := deadLetter("sub_a", uid+1)
			d.At, d.Reason = noon().Add(time.Duration(uid/2)*time.Second), strings.Repeat("é\x00\xff", 400)
			many = append(many, d)
		}
		commit(claimOf(anna, 5), many...)
		got := listed("sub_a")
		if len(got) != deadLettersKept {
			t.Errorf("%d are kept", len(got))
		}
		for _, old := range []string{"sub_a 1", "sub_a 20"} {
			for _, one := range got {
				if one == old {
					t.Errorf("%s is kept", one)
				}
			}
		}
		same(t, "of the other", []string{"sub_b 2"}, listed("sub_b"))
		must(s.Unsubscribe(ctx, "sub_a"))(t)
		var rows int64
		if err := s.db.Model(&deadLetterRow{}).Count(&rows).Error; err != nil || rows != 1 {
			t.Errorf("%d left, error %v", rows, err)
		}
	})
}
