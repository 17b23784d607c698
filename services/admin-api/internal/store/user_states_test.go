// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"slices"
	"testing"
	"time"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/services/admin-api/internal/registry"
)

func TestUsersAreDisabledAndEnabled(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		alice, carol := as(t, registry.Administrator, "alice"), as(t, registry.Administrator, "carol")
		_, err := s.DisableUser(alice, anna, "", noon())
		wantKind(t, fault.NotFound, err)
		_, err = s.EnableUser(alice, anna)
		wantKind(t, fault.NotFound, err)
		subscribe(t, s, subscription("sub_a", anna, "mobile", ""), login(1))
		before := must(s.User(t.Context(), anna))(t)

		disable := func(already bool, reason string, at time.Time, want registry.Disabling) {
			t.Helper()
			same(t, "already", already, must(s.DisableUser(carol, anna, reason, at))(t))
			u := before
			u.Enabled, u.Disabling = false, want
			same(t, "user", u, must(s.User(t.Context(), anna))(t))
		}
		same(t, "already", false, must(s.DisableUser(alice, anna, "moving", noon()))(t))
		by := registry.Disabling{Reason: "moving", At: noon(), By: registry.Actor{Kind: registry.Administrator, Name: "alice"}}
		disable(true, "", noon().Add(time.Hour), by)
		disable(true, "moving", noon().Add(time.Hour), by)
		by.Reason, by.By.Name = "abuse", "carol"
		disable(true, "abuse", noon().Add(time.Hour), by)

		// A login that comes meanwhile is stored, and enables nobody.
		subscribe(t, s, subscription("sub_a", anna, "mobile", ""), loginIn(3, 2))
		same(t, "after a new login", by, must(s.User(t.Context(), anna))(t).Disabling)

		same(t, "already", false, must(s.EnableUser(alice, anna))(t))
		same(t, "already", true, must(s.EnableUser(alice, anna))(t))
		if u := must(s.User(t.Context(), anna))(t); !u.Enabled || u.Disabling != (registry.Disabling{}) || u.Store != "demo" {
			t.Errorf("enabled: %+v", u)
		}
		same(t, "cursors", []registry.Cursor{{Folder: "INBOX", UIDValidity: 7, UID: 100}}, must(s.Subscription(t.Context(), "sub_a"))(t).Cursors)
		same(t, "history", []string{
			"user_disabled by administrator alice: moving",
			"user_disabled by administrator carol: abuse",
			"login_changed by system: ",
			"user_enabled by administrator alice: was disabled: abuse",
		}, told(t, s, anna)[1:])
	})
}

// Who is disabled cannot end that by unsubscribing: no subscription and no login is left,
// and the next one finds the user disabled.
func TestDisabledUserOutlivesTheSubscriptions(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		subscribe(t, s, subscription("sub_a", anna, "mobile", ""), loginIn(3, 1))
		must(s.DisableUser(ctx, anna, "abuse", noon()))(t)
		removed := must(s.Unsubscribe(ctx, "sub_a"))(t)
		if login := (registry.Erasure{UserID: anna, Account: registry.MailAccount(3)}); !removed.Last || !slices.Contains(removed.Erasures, login) {
			t.Errorf("removed %+v", removed)
		}
		bare := registry.User{UserID: anna, Disabling: registry.Disabling{Reason: "abuse", At: noon()}, Credential: registry.Credential{State: registry.CredentialNone}}
		same(t, "user", bare, must(s.User(ctx, anna))(t))
		subscribe(t, s, subscription("sub_b", anna, "mobile", ""), loginIn(4, 1))
		if u := must(s.User(ctx, anna))(t); u.Enabled || u.Disabling != bare.Disabling || u.Credential != *loginIn(4, 1) {
			t.Errorf("subscribed anew: %+v", u)
		}
		must(s.Unsubscribe(ctx, "sub_b"))(t)
		same(t, "already", false, must(s.EnableUser(ctx, anna))(t))
		_, err := s.User(ctx, anna)
		wantKind(t, fault.NotFound, err)
	})
}
