// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package decide

import (
	"strings"
	"testing"

	"mailpush.internal/services/admin-api/internal/registry"
)

// combination is one case of what decides whether a user's mailbox can be listened to.
type combination struct {
	backend   string
	permanent bool // imapidle.supportsPermanentListeners
	master    bool // mail.passwordSource is global
	storage   bool // push.credstorage.enabled
	doveadm   bool // the mail store has it
	stored    registry.Credential
}

func combinations(yield func(combination) bool) {
	both := []bool{false, true}
	credentials := []registry.Credential{
		{State: registry.CredentialNone},
		{State: registry.CredentialNone, Kind: registry.KindDoveadm, Version: 2},
		{State: registry.CredentialStored, Kind: registry.KindPassword, Version: 1},
		{State: registry.CredentialStored, Kind: registry.KindMaster, Version: 1},
		{State: registry.CredentialSuspended, Kind: registry.KindPassword, Version: 1, Reason: "wrong password"},
		{State: registry.CredentialSuspended, Kind: registry.KindDoveadm, Version: 2, Reason: "no such user"},
	}
	for _, backend := range []string{"imapidle", "dovecot", "mailnotify"} {
		for _, permanent := range both {
			for _, master := range both {
				for _, storage := range both {
					for _, doveadm := range both {
						for _, stored := range credentials {
							if !yield(combination{backend, permanent, master, storage, doveadm, stored}) {
								return
							}
						}
					}
				}
			}
		}
	}
}

// want is the decision, in the words of its definition: the check that says no, and what
// doveadm is to be asked for. Only a Dovecot has a doveadm; the settings refuse it elsewhere.
func (c combination) want() (check, login string) {
	doveadm := c.doveadm && c.backend == "dovecot"
	usable := c.stored.State == registry.CredentialStored &&
		(c.stored.Kind == registry.KindPassword && c.storage || c.stored.Kind == registry.KindMaster && c.master)
	suspended := c.stored.State == registry.CredentialSuspended
	switch {
	case c.backend == "imapidle" && !c.permanent:
		return "backend", ""
	case suspended && c.stored.Kind == registry.KindPassword && !c.storage:
		return "login", ""
	case suspended && c.stored.Kind == registry.KindDoveadm && !doveadm:
		return "login", ""
	case suspended:
		return CheckCredential, ""
	case usable:
		return "", ""
	case doveadm:
		return "", "249@1"
	default:
		return "login", ""
	}
}

func TestEveryCombination(t *testing.T) {
	t.Parallel()
	count := 0
	for c := range combinations {
		count++
		p := Policy{
			AllowPermanentPush: true, CredStorage: c.storage, MasterUser: c.master,
			PermanentBackends: map[string]bool{"imapidle": c.permanent, "dovecot": true, "mailnotify": true},
			Stores:            map[string]string{"demo": c.backend}, Doveadm: map[string]string{},
		}
		if c.doveadm && c.backend == "dovecot" {
			p.Doveadm["demo"] = "{user}@{context}"
		}
		u := user()
		u.Credential = c.stored
		check, login := c.want()
		d := Listener(p, u, Capable)
		if got, _ := p.ByDoveadm(u); d.OK() && got != login {
			t.Errorf("%+v: doveadm is asked for %q, want %q", c, got, login)
		}
		if d.OK() != (check == "") || !d.OK() && d.Last() != check {
			t.Errorf("%+v: %s %q, want no at %q", c, d.Last(), d.Reason(), check)
		}
		if !d.OK() && d.Reason() == "" {
			t.Errorf("%+v: no without a reason", c)
		}
	}
	if count != 3*16*6 {
		t.Errorf("%d combinations", count)
	}
}

func TestDoveadmIsAskedForTheName(t *testing.T) {
	t.Parallel()
	p := Policy{Doveadm: map[string]string{"demo": "{context}/{user}"}}
	for _, c := range []struct{ named, want string }{{"", "1/249"}, {"anna", "anna"}} {
		u := user()
		u.Credential, u.Doveadm = registry.Credential{State: registry.CredentialNone}, c.named
		if got, ok := p.ByDoveadm(u); !ok || got != c.want {
			t.Errorf("%q: %q, %v", c.named, got, ok)
		}
	}
}

// By the operator's rule the two would be one login, and doveadm would open the mailbox of
// either to either.
func TestNoLoginThatAnotherUserCouldHave(t *testing.T) {
	t.Parallel()
	p := Policy{
		AllowPermanentPush: true, PermanentBackends: map[string]bool{"dovecot": true},
		Stores: map[string]string{"demo": "dovecot"}, Doveadm: map[string]string{"demo": "{user}@{context}"},
	}
	for id, want := range map[registry.UserID]bool{{Context: "c", User: "a@b"}: true, {Context: "b@c", User: "a"}: false} {
		u := user()
		u.UserID, u.Credential = id, registry.Credential{State: registry.CredentialNone}
		d := Listener(p, u, NotAsked)
		if login, ok := p.ByDoveadm(u); ok != want || ok && login != "a@b@c" || d.OK() != want || !want && (d.Last() != "login" || !strings.HasPrefix(d.Reason(), "contextId: has a character")) {
			t.Errorf("%v: %q, %v, %s", id, login, ok, d.Reason())
		}
		u.Doveadm = "anna"
		if login, ok := p.ByDoveadm(u); !ok || login != "anna" {
			t.Errorf("%v with a name: %q, %v", id, login, ok)
		}
	}
}
