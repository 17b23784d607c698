// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-gormigrate/gormigrate/v2"

	"mailpush.internal/pkg/secret"
	"mailpush.internal/pkg/sqldb"
	"mailpush.internal/pkg/sqltest"
	"mailpush.internal/pkg/userid"
	"mailpush.internal/services/admin-api/internal/registry"
)

// alike are users that one column of user@context, or one that takes upper case for lower,
// would mix up.
func alike() []registry.UserID {
	return []registry.UserID{
		{Context: "a", User: "b@c"}, {Context: "a!b", User: "c"}, {Context: "a", User: "b!c"}, {Context: "a@b", User: "c"},
		{Context: "b@c", User: "a"}, {Context: "c", User: "a@b"}, {Context: "A", User: "b@c"}, {Context: "a", User: "B@c"},
		{Context: "a", User: "b'c"}, {Context: "a", User: "b%c"}, {Context: "a", User: "b_c"}, {Context: "a", User: "b+c"},
	}
}

// What is done to one user is done to no other.
func TestUsersThatAreWrittenAlikeAreApart(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		ctx, users := t.Context(), alike()
		for i, u := range users {
			e := enrolment(t, s, subscription(fmt.Sprintf("sub_%d", i), u, "mobile", ""), "demo", loginIn(7, 1))
			e.Login = u.String()
			if err := subscribeOne(ctx, s, e); err != nil {
				t.Fatal(err)
			}
		}
		for i, u := range users {
			got := must(s.User(ctx, u))(t)
			subs := must(s.Subscriptions(ctx, u))(t)
			if got.UserID != u || len(subs) != 1 || subs[0].ID != fmt.Sprintf("sub_%d", i) || subs[0].UserID != u {
				t.Errorf("%v: %+v with %+v", u, got, subs)
			}
			owned := must(s.ListSubscriptions(ctx, u, "", "", 9))(t)
			if len(owned) != 1 || owned[0].UserID != u {
				t.Errorf("%v has %+v", u, owned)
			}
			for _, listed := range must(s.ListUsers(ctx, u.Context, "", 99))(t) {
				if listed.Context != u.Context {
					t.Errorf("context %q lists %v", u.Context, listed.UserID)
				}
			}
		}
		first := users[0]
		if !must(s.SuspendCredential(ctx, first, 1, "refused"))(t) {
			t.Error("not suspended")
		}
		for _, u := range users[1:] {
			if c := must(s.User(ctx, u))(t).Credential; c.State != registry.CredentialStored {
				t.Errorf("%v: %+v", u, c)
			}
		}
		for i, u := range users {
			removed := must(s.Unregister(ctx, u, "mobile"))(t)
			if removed.User.UserID != u || !removed.Last {
				t.Errorf("%v: removed %+v", u, removed)
			}
			if left := must(s.ListUsers(ctx, "", "", 99))(t); len(left) != len(users)-1-i {
				t.Errorf("%v: %d are left", u, len(left))
			}
		}
		for _, e := range must(s.Erasures(ctx, time.Now(), 999))(t) {
			if !slices.Contains(users, e.UserID) {
				t.Errorf("erases of %v", e.UserID)
			}
		}
	})
}

// longest are two ids whose key is the longest there is, and that differ at their ends.
func longest(end string) registry.UserID {
	id := strings.Repeat("1a", userid.MaxLen/2-1)
	return registry.UserID{Context: id + "1a", User: id + end}
}

func TestLongestIDs(t *testing.T) {
	each(t, func(t *testing.T, s *Store) { holdLongest(t, s) })
}

func holdLongest(t *testing.T, s *Store) {
	t.Helper()
	ctx := t.Context()
	one, two := longest("1a"), longest("1b")
	if len(one.Key()) != registry.MaxKey {
		t.Fatalf("a key of %d characters", len(one.Key()))
	}
	client, device := strings.Repeat("c", 128), strings.Repeat("d", 128)
	for i, u := range []registry.UserID{two, one} {
		subscribe(t, s, subscription(fmt.Sprintf("sub_%s%d", strings.Repeat("x", 59), i), u, client, device), loginIn(registry.MaxSlot, 4))
	}
	listed := must(s.ListUsers(ctx, one.Context, "", 9))(t)
	if len(listed) != 2 || listed[0].UserID != one || listed[1].UserID != two {
		t.Errorf("listed %+v", listed)
	}
	if after := must(s.ListUsers(ctx, "", one.Key(), 9))(t); len(after) != 1 || after[0].UserID != two {
		t.Errorf("after the first: %+v", after)
	}
	if got := must(s.ListRegistrations(ctx, "", one.Key(), client, 9))(t); len(got) != 1 || got[0].UserID != two {
		t.Errorf("registrations after the first: %+v", got)
	}
	removed := must(s.Unregister(ctx, one, client))(t)
	if removed.User.UserID != one || len(must(s.Erasures(ctx, time.Now(), 9))(t)) != len(removed.Erasures) {
		t.Errorf("removed %+v", removed)
	}
	if left := must(s.ListUsers(ctx, "", "", 9))(t); len(left) != 1 || left[0].UserID != two {
		t.Errorf("left %+v", left)
	}
}

// The registry of a release whose ids were shorter takes the longest, and has kept its
// users, whose keys are as they were.
func TestUpgradeMakesRoomForIDs(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, dsn secret.String) {
		ctx, log := t.Context(), slog.New(slog.DiscardHandler)
		old := must(sqldb.Open(ctx, dsn, log))(t)
		if err := sqldb.Migrate(old, "registry_migrations", without("202612-ids")); err != nil {
			t.Fatal(err)
		}
		before := &Store{db: old, log: log}
		subscribe(t, before, subscription("sub_a", anna, "mobile", "d1"), login(4))
		subscribe(t, before, subscription("sub_b", bob, "mobile", "d1"), login(4))
		was := must(before.ListUsers(ctx, "1", "", 9))(t)
		s := must(Open(ctx, dsn, log))(t)
		t.Cleanup(func() { _ = s.Close() })
		same(t, "users", was, must(s.ListUsers(ctx, "1", "", 9))(t))
		// A replica of the release before goes on, on PostgreSQL once each of its statements
		// has failed and was prepared anew.
		e := registry.Enrolment{Subscription: subscription("sub_c", anna, "web", ""), Before: must(s.User(ctx, anna))(t)}
		err := subscribeOne(ctx, before, e)
		for range 10 {
			if err == nil || !strings.Contains(err.Error(), "cached plan") {
				break
			}
			err = subscribeOne(ctx, before, e)
		}
		if err != nil {
			t.Fatal(err)
		}
		same(t, "clients", []string{"mobile", "web"}, must(s.User(ctx, anna))(t).Clients)
		for _, u := range []registry.UserID{anna, bob} {
			must(s.Unregister(ctx, u, "mobile"))(t)
		}
		must(s.Unregister(ctx, anna, "web"))(t)
		for _, e := range must(s.Erasures(ctx, time.Now(), 99))(t) {
			if err := s.Erased(ctx, e); err != nil {
				t.Fatal(err)
			}
		}
		holdLongest(t, s)
		if err := sqldb.Close(old); err != nil {
			t.Error(err)
		}
	})
}

// without are all migrations but one.
func without(id string) []*gormigrate.Migration {
	return slices.DeleteFunc(migrations(), func(m *gormigrate.Migration) bool { return m.ID == id })
}
