// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"strings"
	"testing"

	"mailpush.internal/services/admin-api/internal/registry"
)

// known subscribes a user with a login of a version.
func known(t *testing.T, s *Store, user registry.UserID, name string, version uint64) {
	t.Helper()
	e := enrolment(t, s, subscription("sub_"+user.User, user, "mail", "phone"), "demo", loginIn(uint32(version)+1, version))
	e.Login = name
	e.Signing.Version += version
	if err := subscribeOne(t.Context(), s, e); err != nil {
		t.Fatal(err)
	}
}

func TestUsersAreFoundByTheirLogins(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		known(t, s, anna, "Anna@Example.org", 1)
		known(t, s, bob, "bob", 1)
		find := func(localParts bool, logins ...string) [][]registry.UserID {
			t.Helper()
			return must(s.FindUsers(t.Context(), logins, localParts))(t)
		}
		same(t, "in either case", [][]registry.UserID{{anna}, {bob}, nil, {anna}}, find(false, "anna@example.org", "BOB", "zoe", "ANNA@EXAMPLE.ORG"))
		same(t, "not by a part", [][]registry.UserID{nil, nil}, find(false, "anna", "249@1"))
		same(t, "by the part before the @", [][]registry.UserID{{anna}, {bob}, {anna}}, find(true, "anna", "bob", "anna@example.org"))

		known(t, s, bob, "anna@other.example", 2)
		same(t, "a new login", [][]registry.UserID{nil, {bob}}, find(false, "bob", "anna@other.example"))
		same(t, "two with the same part", [][]registry.UserID{{anna, bob}}, find(true, "anna"))

		if _, err := s.SuspendCredential(t.Context(), bob, 2, "refused"); err != nil {
			t.Fatal(err)
		}
		same(t, "a login that was refused", [][]registry.UserID{nil}, find(false, "anna@other.example"))
	})
}

func TestUsersOfDoveadmAreFound(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		e := enrolment(t, s, subscription("sub_1", anna, "mail", "phone"), "demo", &registry.Credential{
			State: registry.CredentialNone, Kind: registry.KindDoveadm, Version: 1,
		})
		e.Login = "249@1"
		if err := subscribeOne(t.Context(), s, e); err != nil {
			t.Fatal(err)
		}
		same(t, "found", [][]registry.UserID{{anna}}, must(s.FindUsers(t.Context(), []string{"249@1"}, false))(t))
	})
}

// A replica of the release before stores another credential and leaves the login as it was.
func TestALoginOfAnotherCredentialFindsNobody(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		known(t, s, anna, "anna", 1)
		if err := s.db.Table("users").Where("user_key = ?", anna.Key()).Update("credential_version", 2).Error; err != nil {
			t.Fatal(err)
		}
		same(t, "found", [][]registry.UserID{nil}, must(s.FindUsers(t.Context(), []string{"anna"}, true))(t))
	})
}

func TestNoLoginIsStoredInClear(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		known(t, s, anna, "anna@example.org", 1)
		var row userRow
		if err := s.db.Where("user_key = ?", anna.Key()).Take(&row).Error; err != nil {
			t.Fatal(err)
		}
		if strings.Contains(row.LoginKey+row.LoginPart, "anna") || len(row.LoginKey) != 32 || row.LoginKey == row.LoginPart {
			t.Errorf("stored as %q and %q", row.LoginKey, row.LoginPart)
		}
		if other := loginKey("another installation", "anna@example.org"); other == row.LoginKey {
			t.Error("the same login has the same key in all installations")
		}
	})
}
