// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"
	"testing"
	"time"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/services/admin-api/internal/registry"
)

func TestWhatIsReservedIsNamedOrErased(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		first := reserved(t, s, anna, "mail/2")
		wantKind(t, fault.Unavailable, s.Reserve(ctx, []registry.Erasure{first}, time.Now()))
		none := []registry.Erasure{}
		same(t, "kept for a while", none, must(s.Erasures(ctx, time.Now(), 9))(t))

		e := enrolment(t, s, subscription("sub_a", anna, "mobile", ""), "demo", loginIn(3, 7))
		if err := subscribeOne(ctx, s, e); err != nil {
			t.Fatal(err)
		}
		free := must(s.Condemn(ctx, append(e.Sealed, first)))(t)
		same(t, "not named", []registry.Erasure{first}, free)
		same(t, "to erase", free, must(s.Erasures(ctx, time.Now(), 9))(t))
		same(t, "given up twice", []registry.Erasure(nil), must(s.Condemn(ctx, free))(t))

		// What is given up does not come back, even though its time has not come.
		late := enrolment(t, s, subscription("sub_a", anna, "mobile", ""), "demo", loginIn(4, 8))
		must(s.Erasures(ctx, time.Now().Add(time.Hour), 9))(t)
		wantKind(t, fault.Unavailable, subscribeOne(ctx, s, late))
		same(t, "credential", *loginIn(3, 7), must(s.User(ctx, anna))(t).Credential)
	})
}

func TestReplacedLoginIsErasedLater(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		sub := subscription("sub_a", anna, "mobile", "") // as an earlier release has left it
		subscribe(t, s, sub, login(1))
		for slot := range uint32(2) {
			subscribe(t, s, sub, loginIn(2+slot, uint64(5+slot)))
		}
		same(t, "at once", []registry.Erasure{}, must(s.Erasures(ctx, time.Now(), 9))(t))
		same(t, "later", []registry.Erasure{
			{UserID: anna, Account: "mail"}, {UserID: anna, Account: "mail/2"}, {UserID: anna, Account: "webhook/sub_a/1"},
		}, must(s.Erasures(ctx, time.Now().Add(registry.Lingers), 9))(t))
		same(t, "with the user", []registry.Erasure{
			{UserID: anna, Account: "webhook/sub_a"}, {UserID: anna, Account: "webhook/sub_a/1"},
			{UserID: anna, Account: "mail"}, {UserID: anna, Account: "mail/3"},
		}, must(s.Unsubscribe(ctx, "sub_a"))(t).Erasures)
		same(t, "all", 5, len(must(s.Erasures(ctx, time.Now(), 9))(t)))
	})
}

// TestSubscribeRestsOnWhatItHasFound lets another replica change the user between the
// beginning and the end of a Subscribe.
func TestSubscribeRestsOnWhatItHasFound(t *testing.T) {
	type change func(t *testing.T, s *Store, sub registry.Subscription)
	suspend := func(t *testing.T, s *Store, sub registry.Subscription) {
		t.Helper()
		must(s.SuspendCredential(t.Context(), sub.UserID, 5, "no"))(t)
	}
	remove := func(t *testing.T, s *Store, sub registry.Subscription) {
		t.Helper()
		must(s.Unsubscribe(t.Context(), sub.ID))(t)
	}
	renew := func(t *testing.T, s *Store, sub registry.Subscription) {
		t.Helper()
		subscribe(t, s, sub, loginIn(4, 6))
	}
	move := func(t *testing.T, s *Store, sub registry.Subscription) {
		t.Helper()
		if err := subscribeOne(t.Context(), s, enrolment(t, s, sub, "other", nil)); err != nil {
			t.Fatal(err)
		}
	}
	each(t, func(t *testing.T, s *Store) {
		for i, tt := range []struct {
			meanwhile change
			login     *registry.Credential
			refused   bool
		}{
			{func(*testing.T, *Store, registry.Subscription) {}, nil, false},
			{remove, nil, true},
			{remove, loginIn(9, 9), false},
			{suspend, nil, true},
			{suspend, loginIn(9, 9), false},
			{renew, nil, true},
			{renew, loginIn(9, 6), true},
			{renew, loginIn(9, 7), false},
			{move, nil, true},
		} {
			user := registry.UserID{Context: "1", User: fmt.Sprint(i)}
			first := subscription(fmt.Sprintf("sub_%da", i), user, "mobile", "")
			subscribe(t, s, first, loginIn(3, 5))
			store := ""
			if tt.login != nil {
				store = "demo"
			}
			e := enrolment(t, s, subscription(fmt.Sprintf("sub_%db", i), user, "web", ""), store, tt.login)
			tt.meanwhile(t, s, first)
			before, _ := s.User(t.Context(), user)
			err := subscribeOne(t.Context(), s, e)
			after, _ := s.User(t.Context(), user)
			switch {
			case tt.refused:
				wantKind(t, fault.Unavailable, err)
				same(t, fmt.Sprint("user of case ", i), before, after)
			case err != nil:
				t.Errorf("case %d: %v", i, err)
			case tt.login != nil:
				same(t, fmt.Sprint("credential of case ", i), *tt.login, after.Credential)
			}
		}
	})
}

// TestSecretsOfAnEarlierRelease are sealed, during a rolling upgrade, in places where
// that release looks for them.
func TestSecretsOfAnEarlierRelease(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		sub := subscription("sub_a", anna, "mobile", "")
		subscribe(t, s, sub, login(1))
		sub.Signing = signing(7, time.Time{})
		subscribe(t, s, sub, loginIn(3, 5))
		set := func(table string, columns map[string]any) {
			t.Helper()
			if err := s.db.Table(table).Where("user_key = ?", anna.Key()).Updates(columns).Error; err != nil {
				t.Fatal(err)
			}
		}
		var row userRow
		if err := s.db.Take(&row).Error; err != nil || row.CredentialState != string(registry.CredentialNone) {
			t.Errorf("an earlier release would look for a login in slot %d: state %s, error %v", row.CredentialSlot, row.CredentialState, err)
		}
		// It stores another login, and another secret.
		set("users", map[string]any{"credential_state": "stored", "credential_version": 8})
		set("subscriptions", map[string]any{"secret_version": 9})
		same(t, "credential", *login(8), must(s.User(ctx, anna))(t).Credential)
		if got := must(s.Subscription(ctx, "sub_a"))(t); got.Signing.Slot != 1 {
			t.Errorf("signed from slot %d", got.Signing.Slot)
		}
		same(t, "erased", []registry.Erasure{
			{UserID: anna, Account: "webhook/sub_a"}, {UserID: anna, Account: "webhook/sub_a/1"}, {UserID: anna, Account: "webhook/sub_a/7"},
			{UserID: anna, Account: "mail"}, {UserID: anna, Account: "mail/3"},
		}, must(s.Unsubscribe(ctx, "sub_a"))(t).Erasures)
	})
}
