// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"strings"
	"testing"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/pkg/secret"
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
