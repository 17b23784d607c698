// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/pkg/secret"
	"mailpush.internal/pkg/sqltest"
	"mailpush.internal/services/admin-api/internal/registry"
)

// newcomer is the first enrolment of the nth user, with what it takes reserved.
func newcomer(n int) (e registry.Enrolment, reserve []registry.Erasure) {
	u := registry.UserID{Context: "1", User: fmt.Sprint("many-", n)}
	sub := subscription(fmt.Sprint("sub_", n), u, "mobile", "")
	sub.Signing.Slot = 5
	e = registry.Enrolment{
		Subscription: sub, Before: registry.User{UserID: u, Enabled: true, Credential: registry.Credential{State: registry.CredentialNone}},
		MailStore: "demo", Login: fmt.Sprint("login-", n), Credential: loginIn(3, 7),
	}
	e.Sealed = []registry.Erasure{
		{UserID: u, Account: registry.MailAccount(3)}, {UserID: u, Account: registry.WebhookAccount(sub.ID, 5)},
	}
	return e, e.Sealed
}

// newcomers are n of them, whose accounts are reserved.
func newcomers(t *testing.T, s *Store, n int) []registry.Enrolment {
	t.Helper()
	list := make([]registry.Enrolment, n)
	var all []registry.Erasure
	for i := range list {
		var reserve []registry.Erasure
		list[i], reserve = newcomer(i)
		all = append(all, reserve...)
	}
	if err := s.Reserve(t.Context(), all, time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return list
}

func rowsIn(t *testing.T, s *Store) map[string]int64 {
	t.Helper()
	rows := make(map[string]int64)
	for _, table := range []string{"users", "registrations", "subscriptions", "cursors", "erasures"} {
		var n int64
		if err := s.db.Table(table).Count(&n).Error; err != nil {
			t.Fatal(err)
		}
		rows[table] = n
	}
	return rows
}

func TestManyAreStoredInOneTransaction(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		const many = 2*rowsAtOnce + 30
		list := newcomers(t, s, many)
		slices.Reverse(list)
		for i, err := range must(s.Subscribe(t.Context(), list))(t) {
			if err != nil {
				t.Errorf("%d: %v", i, err)
			}
		}
		same(t, "rows", map[string]int64{"users": many, "registrations": many, "subscriptions": many, "cursors": many, "erasures": 0}, rowsIn(t, s))
		users := make([]registry.UserID, many+1)
		for i := range users {
			users[i] = registry.UserID{Context: "1", User: fmt.Sprint("many-", i)}
		}
		found := must(s.Registered(t.Context(), users))(t)
		if len(found) != many {
			t.Errorf("found %d", len(found))
		}
		for i, u := range users[:many] {
			e, _ := newcomer(i)
			box := found[u]
			if box.Credential != *e.Credential || box.Store != "demo" || len(box.Subscriptions) != 1 || len(box.Clients) != 1 {
				t.Fatalf("%s: %+v", u, box)
			}
			same(t, u.String(), e.Subscription, box.Subscriptions[0])
		}
		logins := must(s.FindUsers(t.Context(), []string{"login-0", fmt.Sprint("login-", many-1)}, false))(t)
		same(t, "found by login", [][]registry.UserID{{users[0]}, {users[many-1]}}, logins)
	})
}

// An enrolment that cannot be stored leaves nothing, not the row either that locks its user,
// and the others are none the worse.
func TestAnEnrolmentThatFailsLeavesNothing(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		subscribe(t, s, subscription("sub_b", bob, "mobile", ""), loginIn(3, 5))
		full := registry.UserID{Context: "1", User: "full"}
		for i := range registry.MaxSubscriptions {
			subscribe(t, s, subscription(fmt.Sprint("sub_full", i), full, "mobile", fmt.Sprint(i)), nil)
		}
		list := newcomers(t, s, 6)
		late, overtaken, elsewhere, tooMany := &list[1], &list[2], &list[3], &list[4]
		must(s.Condemn(ctx, late.Sealed[1:]))(t)
		overtaken.Subscription.UserID, overtaken.Before.UserID = bob, bob // bob has a login by now
		overtaken.Credential, overtaken.Sealed = nil, nil
		elsewhere.Before.Store, elsewhere.Credential, elsewhere.MailStore = "other", nil, ""
		tooMany.Subscription.UserID, tooMany.Before = full, must(s.User(ctx, full))(t)
		tooMany.Credential, tooMany.Sealed = nil, nil
		before := rowsIn(t, s)

		errs := must(s.Subscribe(ctx, list))(t)
		for i, want := range []fault.Kind{-1, fault.Unavailable, fault.Unavailable, fault.Unavailable, fault.Exhausted, -1} {
			if want == -1 && errs[i] != nil || want != -1 && fault.KindOf(errs[i]) != want {
				t.Errorf("%d: got %v", i, errs[i])
			}
		}
		before["users"] += 2
		before["registrations"] += 2
		before["subscriptions"] += 2
		before["cursors"] += 2
		before["erasures"] -= 4 // what those that failed have sealed stays noted
		same(t, "rows", before, rowsIn(t, s))
	})
}

// Replicas store the same users at once, each in an order of its own: none waits for the
// other for ever, and all but the newest login are overtaken.
func TestPagesOfReplicasDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, dsn secret.String) {
		const users, replicas, times = 61, 4, 5
		var stores [replicas]*Store
		for r := range stores {
			if r > 0 && stores[0].db.Name() == "sqlite" { // which is for a single replica
				stores[r] = stores[0]
				continue
			}
			stores[r] = must(Open(t.Context(), dsn, slog.New(slog.DiscardHandler)))(t)
			t.Cleanup(func() { _ = stores[r].Close() })
		}
		var pages errgroup.Group
		for r, s := range stores {
			pages.Go(func() error {
				for n := range times {
					list := make([]registry.Enrolment, users)
					var reserve []registry.Erasure
					for i := range list {
						e, _ := newcomer((i*(2*r+1) + r) % users)
						version := 1 + r + n*replicas
						e.Credential = loginIn(uint32(10+version), uint64(version))
						e.Subscription.Signing = registry.Signing{Scheme: registry.SchemeV1, Version: uint64(version), Slot: uint32(10 + version)}
						e.Sealed = []registry.Erasure{
							{UserID: e.UserID, Account: registry.MailAccount(e.Credential.Slot)},
							{UserID: e.UserID, Account: registry.WebhookAccount(e.ID, e.Signing.Slot)},
						}
						list[i], reserve = e, append(reserve, e.Sealed...)
					}
					if err := s.Reserve(t.Context(), reserve, time.Now().Add(time.Minute)); err != nil {
						return err
					}
					errs, err := s.Subscribe(t.Context(), list)
					if err != nil {
						return err
					}
					for _, err := range errs {
						if err != nil && fault.KindOf(err) != fault.Unavailable {
							return err
						}
					}
				}
				return nil
			})
		}
		if err := pages.Wait(); err != nil {
			t.Fatal(err)
		}
		for i := range users {
			e, _ := newcomer(i)
			if u := must(stores[0].User(t.Context(), e.UserID))(t); u.Credential.Version != replicas*times {
				t.Errorf("%s: %+v", u.UserID, u.Credential)
			}
		}
	})
}

// Counting all users does not wait for a transaction that writes, on no engine.
func TestLoadsDoNotWaitForWriters(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		subscribe(t, s, subscription("sub_a", anna, "mobile", ""), login(1))
		counted := make(chan error, 1)
		tx := s.db.WithContext(ctx).Begin()
		if err := tx.Model(&userRow{}).Where("user_key = ?", anna.Key()).Update("store", "moved").Error; err != nil {
			t.Fatal(err)
		}
		go func() {
			groups, err := s.Groups(ctx, 4, func(string) bool { return true })
			if err == nil && (len(groups) != 1 || groups[0].Like.Store != "demo") {
				err = fmt.Errorf("counted %+v", groups)
			}
			if _, also := s.MaxEpoch(ctx); err == nil {
				err = also
			}
			counted <- err
		}()
		select {
		case err := <-counted:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(time.Minute):
			t.Error("it waits for a transaction that ends only then")
		}
		if err := tx.Rollback().Error; err != nil {
			t.Error(err)
		}
	})
}
