// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-gormigrate/gormigrate/v2"

	"mailpush.internal/pkg/secret"
	"mailpush.internal/pkg/sqldb"
	"mailpush.internal/pkg/sqltest"
	"mailpush.internal/pkg/userid"
	"mailpush.internal/services/credential-vault/internal/credential"
	"mailpush.internal/services/credential-vault/internal/seal"
)

// longest is an owner with the longest names, which differ at their ends.
func longest(end string) seal.Owner {
	id := strings.Repeat("x", userid.MaxLen-1)
	return seal.Owner{Context: id + "c", User: id + end, Account: strings.Repeat("a", 255) + end}
}

// What is written alike, or as long as it may be, is kept apart, and so is its audit.
func TestOwnersAreApart(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, open func() store) { keepApart(t, open()) })
}

func keepApart(t *testing.T, s store) {
	t.Helper()
	owners := []seal.Owner{
		{Context: "a", User: "b@c", Account: "mail"}, {Context: "a@b", User: "c", Account: "mail"}, {Context: "c", User: "a@b", Account: "mail"},
		{Context: "A", User: "b@c", Account: "mail"}, {Context: "a", User: "B@c", Account: "mail"}, {Context: "a", User: "b_c", Account: "mail"},
		{Context: "a", User: "b%c", Account: "mail"}, longest("1"), longest("2"),
	}
	var entries []credential.Entry
	for i, o := range owners {
		version := putOne(t, s, o, fmt.Sprint(i), time.Now())
		entries = append(entries, credential.Entry{At: time.Now(), Owner: o, Version: version, Outcome: "opened"})
	}
	if err := s.Write(t.Context(), entries); err != nil {
		t.Error(err)
	}
	for i, o := range owners {
		if got := string(get(t, s, o).Sealed.Box); got != fmt.Sprint(i) {
			t.Errorf("%+v has %q, want %d", o, got, i)
		}
	}
	for i, o := range owners {
		o.Account = "" // all of the user's
		if n, err := s.Delete(t.Context(), o); n != 1 || err != nil {
			t.Errorf("%+v: %d deleted, %v", o, n, err)
		}
		for _, other := range owners[i+1:] {
			if get(t, s, other).Version == 0 {
				t.Fatalf("deleting %+v has deleted %+v", o, other)
			}
		}
	}
}

// A vault whose ids were shorter keeps what it has, and takes the longest.
func TestUpgradeMakesRoomForIDs(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, dsn secret.String) {
		old, err := sqldb.Open(t.Context(), dsn, quiet())
		if err != nil {
			t.Fatal(err)
		}
		older := slices.DeleteFunc(migrations(), func(m *gormigrate.Migration) bool { return m.ID == "0002-ids" })
		if err := sqldb.Migrate(old, "vault_migrations", older); err != nil {
			t.Fatal(err)
		}
		before := &SQL{db: old}
		version := putOne(t, before, owner("249", "mail"), "kept", time.Now())
		s := openSQL(t, dsn)
		if got := get(t, s, owner("249", "mail")); got.Version != version || string(got.Sealed.Box) != "kept" {
			t.Errorf("got %+v", got)
		}
		// A replica that was there before goes on, on PostgreSQL once a statement of it has
		// failed, and was prepared anew.
		one := []credential.Put{{Owner: owner("249", "mail"), Sealed: seal.Sealed{Key: 1, Box: []byte("by the replica before")}, At: time.Now()}}
		next, err := before.Put(t.Context(), one)
		if err != nil && strings.Contains(err.Error(), "cached plan") {
			next, err = before.Put(t.Context(), one)
		}
		if err != nil || next[0] <= version {
			t.Errorf("version %d follows %d, %v", next, version, err)
		}
		keepApart(t, s)
		if err := before.Close(); err != nil {
			t.Error(err)
		}
	})
}
