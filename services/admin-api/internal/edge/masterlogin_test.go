// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"strings"
	"testing"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/pkg/secret"
	"mailpush.internal/services/admin-api/internal/registry"
)

// The master user opens every mailbox; who may act for context 1 must not have one of
// context 2 opened by naming its login.
func TestTheMasterUserOpensTheUsersOwnMailbox(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		store, login, password string
		any                    bool
		sealed                 string // empty when it is refused
	}{
		"without a login":            {store: "demo", sealed: "249@1"},
		"by the store's template":    {store: "sleepy", sealed: "1/249"},
		"its own login":              {store: "demo", login: "249@1", sealed: "249@1"},
		"a password changes nothing": {store: "demo", login: "ceo@2", password: "guess"},
		"another tenant's":           {store: "demo", login: "ceo@2"},
		"another user's":             {store: "demo", login: "402@1"},
		"its own at another store":   {store: "sleepy", login: "249@1"},
		"any, by an administrator":   {store: "demo", login: "anna@example.org", any: true, sealed: "anna@example.org"},
		"none, by an administrator":  {store: "demo", any: true, sealed: "249@1"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.Policy.MasterUser, w.Policy.CredStorage = true, false
			r := request()
			r.AnyLogin, r.Account = tt.any, &Account{Store: tt.store, Login: tt.login, Password: secret.New(tt.password)}
			_, err := w.Subscribe(t.Context(), r)
			if tt.sealed == "" && len(w.vault.sealed) > 0 || tt.sealed != "" && w.login(t, anna) != tt.sealed {
				t.Errorf("sealed %v, want %q", w.vault.sealed, tt.sealed)
			}
			refused := fault.KindOf(err) == fault.Denied && strings.HasPrefix(err.Error(), "account.login: only an administrator may ")
			if refused != (tt.sealed == "") || !refused && err != nil {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestAPasswordOfItsOwnOpensWhateverItOpens(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Policy.MasterUser = true // and passwords are stored
	if a, err := w.Subscribe(t.Context(), request()); err != nil || !a.Permanent || w.login(t, anna) != "anna:pw" {
		t.Errorf("got %+v, %v, vault %v", a, err, w.vault.sealed)
	}
}

// By the operator's rule the login of a in b@c is that of a@b in c: whoever may act for the
// one context must not have the mailboxes of the other opened.
func TestAContextThatHoldsTheSeparatorHasNoLoginOfItsOwn(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		user         registry.UserID
		store, login string
		any          bool
		sealed       string // empty when it is refused
	}{
		"an @ in the user":                     {user: registry.UserID{Context: "c", User: "a@b"}, store: "demo", sealed: "a@b@c"},
		"an @ in the context":                  {user: registry.UserID{Context: "b@c", User: "a"}, store: "demo"},
		"by the name that would be made":       {user: registry.UserID{Context: "b@c", User: "a"}, store: "demo", login: "a@b@c"},
		"also for an administrator":            {user: registry.UserID{Context: "b@c", User: "a"}, store: "demo", any: true},
		"with a name, by an administrator":     {user: registry.UserID{Context: "b@c", User: "a"}, store: "demo", login: "zoe", any: true, sealed: "zoe"},
		"where something else stands between":  {user: registry.UserID{Context: "b@c", User: "a@b"}, store: "sleepy", sealed: "b@c/a@b"},
		"a place of the rule as a user's name": {user: registry.UserID{Context: "c", User: "{context}"}, store: "demo", sealed: "{context}@c"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.Policy.MasterUser, w.Policy.CredStorage = true, false
			r := request()
			r.User, r.AnyLogin, r.Account = tt.user, tt.any, &Account{Store: tt.store, Login: tt.login}
			_, err := w.Subscribe(t.Context(), r)
			if tt.sealed != "" {
				if err != nil || w.login(t, tt.user) != tt.sealed {
					t.Errorf("got %v, vault %v", err, w.vault.sealed)
				}
				return
			}
			const want = `contextId: has a character in it that stands between user and context in the logins of mail store "demo"`
			if fault.KindOf(err) != fault.Invalid || !strings.HasPrefix(err.Error(), want) || len(w.vault.sealed) > 0 || len(w.workers.asked) > 0 {
				t.Errorf("got %v, vault %v", err, w.vault.sealed)
			}
		})
	}
}
