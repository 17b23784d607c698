// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package decide

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"mailpush.internal/services/admin-api/internal/registry"
)

func policy() Policy {
	return Policy{
		AllowPermanentPush: true, CredStorage: true,
		PermanentBackends: map[string]bool{"imapidle": true, "dovecot": false},
		Stores:            map[string]string{"demo": "imapidle", "other": "dovecot", "typo": "imapidel"},
	}
}

func user() registry.User {
	return registry.User{
		UserID: registry.UserID{Context: "1", User: "249"}, Enabled: true, Store: "demo",
		Credential: registry.Credential{State: registry.CredentialStored, Kind: registry.KindPassword, Version: 1},
		Clients:    []string{"mobile", "web"},
	}
}

func TestListenerNamesTheFirstNo(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		change  func(*Policy, *registry.User)
		workers Capability
		check   string
		reason  string
	}{
		{"all well", func(*Policy, *registry.User) {}, Capable, "worker", ""},
		{"workers not asked", func(*Policy, *registry.User) {}, NotAsked, "credential", ""},
		{"no client", func(_ *Policy, u *registry.User) { u.Clients, u.Enabled = nil, false }, Capable,
			"registration", "no client is registered"},
		{"client left the list", func(p *Policy, _ *registry.User) { p.AllowedClients = Clients{"desk*"} }, Capable,
			"client", "push.allowedClients names none of: mobile, web"},
		{"one client allowed is enough", func(p *Policy, _ *registry.User) { p.AllowedClients = Clients{"w*"} }, Capable,
			"worker", ""},
		{"disabled", func(_ *Policy, u *registry.User) { u.Enabled = false }, Capable, "user", "the user is disabled"},
		{"no store", func(_ *Policy, u *registry.User) { u.Store = "" }, Capable,
			"mail store", "no mail store is known: no subscription has brought an account yet"},
		{"store left the configuration", func(_ *Policy, u *registry.User) { u.Store = "gone" }, Capable,
			"mail store", `no such mail store "gone"; known: demo, other, typo`},
		{"no stores at all", func(p *Policy, _ *registry.User) { p.Stores = nil }, Capable,
			"mail store", `no such mail store "demo"; known: none`},
		{"permanent push off", func(p *Policy, _ *registry.User) { p.AllowPermanentPush = false }, Capable,
			"permanent push", "push.allowPermanentPush is off"},
		{"backend off", func(_ *Policy, u *registry.User) { u.Store = "other" }, Capable,
			"backend", "dovecot.supportsPermanentListeners is off"},
		{"backend unknown", func(_ *Policy, u *registry.User) { u.Store = "typo" }, Capable,
			"backend", `this version has no backend "imapidel"; it has: dovecot, imapidle`},
		{"nothing stored", func(_ *Policy, u *registry.User) { u.Credential = registry.Credential{State: registry.CredentialNone} },
			Capable, "login", "no login is stored: no subscription has brought an account yet"},
		{"storage off", func(p *Policy, u *registry.User) {
			p.CredStorage, u.Credential = false, registry.Credential{State: registry.CredentialNone}
		}, Capable, "login", "no login: push.credstorage.enabled is off and mail.passwordSource is not global"},
		{"storage turned off later", func(p *Policy, _ *registry.User) { p.CredStorage = false }, Capable,
			"login", "the stored login needs push.credstorage.enabled, which is off"},
		{"master user", func(p *Policy, u *registry.User) {
			p.MasterUser, p.CredStorage, u.Credential.Kind = true, false, registry.KindMaster
		}, Capable, "worker", ""},
		{"master user turned off", func(_ *Policy, u *registry.User) { u.Credential.Kind = registry.KindMaster }, Capable,
			"login", "the stored login needs a master user, but mail.passwordSource is not global"},
		{"suspended", func(_ *Policy, u *registry.User) {
			u.Credential.State, u.Credential.Reason = registry.CredentialSuspended, "wrong password"
		}, Capable, "credential", "credential suspended: wrong password"},
		{"no capable worker", func(*Policy, *registry.User) {}, Incapable, "worker", "no live worker is capable of imapidle"},
		{"no worker", func(*Policy, *registry.User) {}, NoWorkers, "worker", "no worker is live"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p, u := policy(), user()
			tt.change(&p, &u)
			d := Listener(p, u, tt.workers)
			last := d.Steps[len(d.Steps)-1]
			if last.Check != tt.check || d.Reason() != tt.reason || d.OK() != (tt.reason == "") || (last.Cause == "") != d.OK() {
				t.Errorf("got %+v, want the last check %q with reason %q", d, tt.check, tt.reason)
			}
			for _, s := range d.Steps[:len(d.Steps)-1] {
				if !s.OK || s.Detail == "" {
					t.Errorf("step before the last: %+v", s)
				}
			}
		})
	}
}

func TestMatch(t *testing.T) {
	t.Parallel()
	tests := []struct {
		pattern, s string
		want       bool
	}{
		{"a", "a", true}, {"a", "A", false}, {"", "", true}, {"", "a", false},
		{"*", "", true}, {"*", "anything", true}, {"open-*", "open-x", true}, {"open-*", "xopen-x", false},
		{"*-api", "mobile-api", true}, {"*-api", "mobile-api2", false}, {"a*b*c", "aXbYc", true}, {"a*b*c", "aXcYb", false},
		{"a*a", "a", false}, {"a*a", "aa", true}, {"**", "x", true}, {"*b*b", "b", false}, {"a.c", "abc", false},
	}
	for _, tt := range tests {
		if got := Match(tt.pattern, tt.s); got != tt.want {
			t.Errorf("Match(%q, %q) = %v", tt.pattern, tt.s, got)
		}
	}
}

func TestStoresOf(t *testing.T) {
	t.Parallel()
	if diff := cmp.Diff([]string{"demo"}, policy().StoresOf("imapidle")); diff != "" {
		t.Error(diff)
	}
}
