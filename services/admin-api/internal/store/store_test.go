// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/pkg/secret"
	"mailpush.internal/pkg/sqltest"
	"mailpush.internal/services/admin-api/internal/registry"
)

func TestMain(m *testing.M) { sqltest.Main(m) }

// each runs the test on a fresh registry in every database.
func each(t *testing.T, test func(t *testing.T, s *Store)) {
	t.Helper()
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, dsn secret.String) {
		s, err := Open(t.Context(), dsn, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		test(t, s)
	})
}

var (
	anna = registry.UserID{Context: "1", User: "249"}
	bob  = registry.UserID{Context: "1", User: "402"}
)

func subscription(id string, user registry.UserID, client, device string) registry.Subscription {
	return registry.Subscription{
		ID: id, UserID: user, Client: client, Device: device, Topics: []string{"mail:new"}, Content: 3, Mode: 2,
		Target: registry.Target{Transport: registry.Webhook, Address: "https://hook.example/é?" + id}, Signing: registry.Signing{Scheme: registry.SchemeV1, Version: 1},
		Endpoint:  registry.Endpoint{Origin: "https://hook.example:443"},
		CreatedAt: time.UnixMicro(1_700_000_000_000_000).UTC(),
		Cursors:   []registry.Cursor{{Folder: "INBOX", UIDValidity: 7, UID: 100}},
	}
}

func login(version uint64) *registry.Credential {
	return &registry.Credential{State: registry.CredentialStored, Kind: registry.KindPassword, Version: version}
}

func subscribe(t *testing.T, s *Store, sub registry.Subscription, cred *registry.Credential) {
	t.Helper()
	if err := subscribeOne(t.Context(), s, enrolment(t, s, sub, "demo", cred)); err != nil {
		t.Fatal(err)
	}
}

// subscribeOne stores a single enrolment.
func subscribeOne(ctx context.Context, s *Store, e registry.Enrolment) error {
	errs, err := s.Subscribe(ctx, []registry.Enrolment{e})
	if err != nil {
		return err
	}
	return errs[0]
}

// enrolment begins from what is stored, and reserves the slots that it is to name.
func enrolment(t *testing.T, s *Store, sub registry.Subscription, store string, cred *registry.Credential) registry.Enrolment {
	t.Helper()
	before, err := s.User(t.Context(), sub.UserID)
	if fault.KindOf(err) == fault.NotFound {
		before, err = registry.User{UserID: sub.UserID, Credential: registry.Credential{State: registry.CredentialNone}}, nil
	}
	e := registry.Enrolment{Subscription: sub, Before: must(before, err)(t), MailStore: store, Credential: cred}
	if e.BringsLogin() {
		e.Sealed = append(e.Sealed, reserved(t, s, sub.UserID, registry.MailAccount(cred.Slot)))
	}
	old, err := s.Subscription(t.Context(), sub.ID)
	if slot := sub.Signing.Slot; slot > 0 && (err != nil || old.Signing.Slot != slot) {
		e.Sealed = append(e.Sealed, reserved(t, s, sub.UserID, registry.WebhookAccount(sub.ID, slot)))
	}
	return e
}

func reserved(t *testing.T, s *Store, user registry.UserID, account string) registry.Erasure {
	t.Helper()
	e := registry.Erasure{UserID: user, Account: account}
	if err := s.Reserve(t.Context(), []registry.Erasure{e}, time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return e
}

// loginIn is a login in a slot.
func loginIn(slot uint32, version uint64) *registry.Credential {
	c := login(version)
	c.Slot = slot
	return c
}

// must unwraps a result: must(f())(t).
func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func same(t *testing.T, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func wantKind(t *testing.T, kind fault.Kind, err error) {
	t.Helper()
	if err == nil || fault.KindOf(err) != kind {
		t.Errorf("got error %v, want kind %v", err, kind)
	}
}

func TestSubscribeStoresEverything(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		_, err := s.User(t.Context(), anna)
		wantKind(t, fault.NotFound, err)

		sub := subscription("sub_a", anna, "mobile", "d1")
		subscribe(t, s, sub, login(4))
		u := must(s.User(t.Context(), anna))(t)
		same(t, "user", registry.User{
			UserID: anna, Enabled: true, Store: "demo", Credential: *login(4), Clients: []string{"mobile"},
		}, u)
		same(t, "subscription", sub, must(s.Subscription(t.Context(), "sub_a"))(t))
		_, err = s.Subscription(t.Context(), "sub_b")
		wantKind(t, fault.NotFound, err)
	})
}

func TestSubscribeAgainKeepsCursorAndReplacesTheRest(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		sub := subscription("sub_a", anna, "mobile", "d1")
		subscribe(t, s, sub, &registry.Credential{State: registry.CredentialSuspended, Reason: "no", Version: 4})
		again := sub
		again.Target.Address, again.Signing.Version, again.Content = "https://new.example/", 2, 1
		again.Endpoint.Origin = "https://new.example:443"
		again.CreatedAt = sub.CreatedAt.Add(time.Hour)
		again.Cursors = []registry.Cursor{{Folder: "INBOX", UIDValidity: 8, UID: 900}, {Folder: "Später", UIDValidity: 1, UID: 1}}
		if err := subscribeOne(t.Context(), s, enrolment(t, s, again, "", nil)); err != nil {
			t.Fatal(err)
		}
		u := must(s.User(t.Context(), anna))(t)
		if u.Store != "demo" || u.Credential.State != registry.CredentialSuspended {
			t.Errorf("without an account store and credential are kept, got %+v", u)
		}
		subscribe(t, s, again, login(5))
		u = must(s.User(t.Context(), anna))(t)
		same(t, "credential", *login(5), u.Credential)

		want := again
		want.CreatedAt, want.Revision = sub.CreatedAt, 2 // one for each
		want.Cursors = []registry.Cursor{sub.Cursors[0], again.Cursors[1]}
		same(t, "subscription", want, must(s.Subscription(t.Context(), "sub_a"))(t))

		other := again
		other.ID = "sub_b"
		wantKind(t, fault.Unavailable, subscribeOne(t.Context(), s, enrolment(t, s, other, "", nil)))
	})
}

func TestRemoveTakesAwayWhatHasLostItsReason(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		subscribe(t, s, subscription("sub_a", anna, "mobile", "d1"), login(1))
		subscribe(t, s, subscription("sub_b", anna, "mobile", "d2"), nil)
		subscribe(t, s, subscription("sub_c", anna, "web", ""), nil)

		removed := must(s.Unsubscribe(ctx, "sub_a"))(t)
		same(t, "erasures", []registry.Erasure{
			{UserID: anna, Account: "webhook/sub_a"}, {UserID: anna, Account: "webhook/sub_a/1"},
		}, removed.Erasures)
		same(t, "clients", []string{"mobile", "web"}, must(s.User(ctx, anna))(t).Clients)
		_, err := s.Unsubscribe(ctx, "sub_a")
		wantKind(t, fault.NotFound, err)

		removed = must(s.Unregister(ctx, anna, "mobile"))(t)
		if removed.Last {
			t.Error("the web client is still registered")
		}
		same(t, "clients", []string{"web"}, must(s.User(ctx, anna))(t).Clients)
		_, err = s.Unregister(ctx, anna, "mobile")
		wantKind(t, fault.NotFound, err)
		_, err = s.Unregister(ctx, bob, "mobile")
		wantKind(t, fault.NotFound, err)

		removed = must(s.Unregister(ctx, anna, "web"))(t)
		if !removed.Last || removed.User.Store != "demo" {
			t.Errorf("the last registration took %+v", removed)
		}
		_, err = s.User(ctx, anna)
		wantKind(t, fault.NotFound, err)
		var rows int64
		if err := s.db.Model(&cursorRow{}).Count(&rows).Error; err != nil || rows != 0 {
			t.Errorf("cursors left: %d, error %v", rows, err)
		}

		all := must(s.Erasures(ctx, time.Now(), 10))(t)
		same(t, "all erasures", []registry.Erasure{
			{UserID: anna, Account: "mail"},
			{UserID: anna, Account: "webhook/sub_a"}, {UserID: anna, Account: "webhook/sub_a/1"},
			{UserID: anna, Account: "webhook/sub_b"}, {UserID: anna, Account: "webhook/sub_b/1"},
			{UserID: anna, Account: "webhook/sub_c"}, {UserID: anna, Account: "webhook/sub_c/1"},
		}, all)
		for range 2 {
			if err := s.Erased(ctx, all[0]); err != nil {
				t.Error(err)
			}
			same(t, "those left", all[1:], must(s.Erasures(ctx, time.Now(), 10))(t))
		}
	})
}

func TestUserHasSoManySubscriptionsAtMost(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		rows := make([]subscriptionRow, registry.MaxSubscriptions-2)
		for i := range rows {
			id := fmt.Sprintf("sub_%d", i)
			rows[i] = newSubscriptionRow(subscription(id, anna, "mobile", id))
		}
		if err := s.db.CreateInBatches(rows, chunk).Error; err != nil {
			t.Fatal(err)
		}
		// Two replicas fill the last places at once.
		errs := make(chan error, 4)
		for i := range cap(errs) {
			e := enrolment(t, s, subscription(fmt.Sprintf("sub_x%d", i), anna, "mobile", fmt.Sprint(i)), "", nil)
			go func() { errs <- subscribeOne(t.Context(), s, e) }()
		}
		refused := 0
		for range cap(errs) {
			if err := <-errs; err != nil {
				refused++
				wantKind(t, fault.Exhausted, err)
			}
		}
		same(t, "refused", 2, refused)
		subscribe(t, s, subscription("sub_7", anna, "mobile", "sub_7"), nil)
		subscribe(t, s, subscription("sub_b", bob, "mobile", ""), nil)
	})
}

func TestListsPageInNaturalOrder(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		users := []registry.UserID{
			{Context: "1", User: "2"}, {Context: "1", User: "10"}, {Context: "1", User: "Anna"},
			{Context: "1", User: "anna"}, {Context: "2", User: "1"}, {Context: "10", User: "1"},
		}
		for i := range users {
			u := users[len(users)-1-i]
			subscribe(t, s, subscription(fmt.Sprintf("sub_%da", i), u, "web", ""), nil)
			subscribe(t, s, subscription(fmt.Sprintf("sub_%db", i), u, "app", ""), nil)
		}
		var listed []registry.UserID
		after := ""
		for {
			page := must(s.ListUsers(ctx, "", after, 4))(t)
			for _, u := range page {
				listed = append(listed, u.UserID)
				same(t, "clients", []string{"app", "web"}, u.Clients)
			}
			if len(page) < 4 {
				break
			}
			after = page[3].Key()
		}
		same(t, "users", users, listed)
		if got := must(s.ListUsers(ctx, "10", "", 9))(t); len(got) != 1 || got[0].UserID != users[5] {
			t.Errorf("users of context 10: %+v", got)
		}

		var names []string
		key, client := "", ""
		for {
			page := must(s.ListRegistrations(ctx, "1", key, client, 3))(t)
			for _, r := range page {
				names = append(names, r.String()+" "+r.Client)
				key, client = r.Key(), r.Client
			}
			if len(page) < 3 {
				break
			}
		}
		same(t, "registrations", []string{
			"2@1 app", "2@1 web", "10@1 app", "10@1 web", "Anna@1 app", "Anna@1 web", "anna@1 app", "anna@1 web",
		}, names)
	})
}

func TestSuspendNeedsTheCurrentCredential(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		subscribe(t, s, subscription("sub_a", anna, "mobile", ""), loginIn(9, 3))
		if must(s.SuspendCredential(ctx, anna, 2, "old"))(t) {
			t.Error("an old version suspended the new credential")
		}
		if !must(s.SuspendCredential(ctx, anna, 3, "wrong password"))(t) {
			t.Error("the current version did not suspend the credential")
		}
		if must(s.SuspendCredential(ctx, anna, 3, "again"))(t) || must(s.SuspendCredential(ctx, bob, 3, "nobody"))(t) {
			t.Error("suspended twice, or for an unknown user")
		}
		got := must(s.User(ctx, anna))(t).Credential
		same(t, "credential", registry.Credential{
			State: registry.CredentialSuspended, Kind: registry.KindPassword, Reason: "wrong password", Version: 3, Slot: 9,
		}, got)
	})
}

func TestPing(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		if err := s.Ping(t.Context()); err != nil {
			t.Error(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.Ping(ctx); err == nil {
			t.Error("a cancelled ping succeeded")
		}
	})
}
