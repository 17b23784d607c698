// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"slices"
	"strings"
	"testing"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/pkg/secret"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/admin-api/internal/registry"
)

// withDoveadm is a world with a Dovecot that doveadm opens.
func withDoveadm(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.Policy.CredStorage = false
	w.Policy.PermanentBackends["dovecot"] = true
	w.Policy.Stores["dove"], w.MasterLogins["dove"] = "dovecot", "{context}/{user}"
	w.Policy.Doveadm = map[string]string{"dove": "{context}/{user}"}
	w.Stores["dove"] = &mailv1.MailStore{Name: "dove", Address: "h:143", Doveadm: &mailv1.Doveadm{Url: "http://h/doveadm/v1"}}
	w.scheduler.members.Workers = append(w.scheduler.members.Workers, Worker{ID: "w3", Address: "a3", Backends: []string{"dovecot"}})
	return w
}

// With doveadm nobody's password is needed, and nothing but the signing secret is sealed.
// Whoever is no administrator gets the user's own mailbox only.
func TestSubscribeWithoutAPassword(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		login, password string
		any             bool
		opened          string // empty when it is refused
	}{
		"without a login":            {opened: "1/249"},
		"its own login":              {login: "1/249", opened: "1/249"},
		"a password changes nothing": {login: "ceo", password: "guess"},
		"another's":                  {login: "2/249"},
		"any, by an administrator":   {login: "anna@example.org", any: true, opened: "anna@example.org"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := withDoveadm(t)
			r := request()
			r.AnyLogin, r.Account = tt.any, &Account{Store: "dove", Login: tt.login, Password: secret.New(tt.password)}
			a, err := w.Subscribe(t.Context(), r)
			if tt.opened == "" {
				if fault.KindOf(err) != fault.Denied || len(w.workers.asked) > 0 || len(w.vault.sealed) > 0 {
					t.Errorf("got %+v, %v; asked %v, sealed %v", a, err, w.workers.asked, w.vault.sealed)
				}
				return
			}
			if err != nil || !a.Permanent || !slices.Equal(w.workers.opened, []string{tt.opened}) {
				t.Errorf("got %+v, %v; opened %q", a, err, w.workers.opened)
			}
			for account := range w.vault.sealed {
				if !strings.Contains(account, "webhook/") {
					t.Errorf("%s was sealed", account)
				}
			}
		})
	}
}

// A password that is stored has to be proven, so the worker is to use it.
func TestSubscribeWithAPasswordAtAStoreWithDoveadm(t *testing.T) {
	t.Parallel()
	w := withDoveadm(t)
	w.Policy.CredStorage = true
	r := request()
	r.Account = &Account{Store: "dove", Login: "anna", Password: secret.New("pw")}
	if a, err := w.Subscribe(t.Context(), r); err != nil || !a.Permanent || w.login(t, anna) != "anna:pw" || w.workers.opened[0] != "" {
		t.Errorf("got %+v, %v; opened %q, vault %v", a, err, w.workers.opened, w.vault.sealed)
	}
	// Without one, later, what was sealed is given up.
	r.Account = &Account{Store: "dove"}
	if a, err := w.Subscribe(t.Context(), r); err != nil || !a.Permanent || w.login(t, anna) != "" || w.workers.opened[1] != "1/249" {
		t.Errorf("then %+v, %v; opened %q, vault %v", a, err, w.workers.opened, w.vault.sealed)
	}
}

// Where Dovecot knows no such user, the subscription is kept and says so.
func TestSubscribeForAUserThatDovecotDoesNotKnow(t *testing.T) {
	t.Parallel()
	w := withDoveadm(t)
	w.workers.baseline["a3"] = fault.New(fault.Unauthenticated, "Dovecot knows no such user")
	r := request()
	r.Account = &Account{Store: "dove"}
	a, err := w.Subscribe(t.Context(), r)
	if err != nil || a.Permanent || !strings.Contains(a.Reason, "Dovecot knows no such user") {
		t.Errorf("got %+v, %v", a, err)
	}
}

// The listing of a shard tells what doveadm is to be asked for.
func TestListingNamesWhatDoveadmOpens(t *testing.T) {
	t.Parallel()
	w := withDoveadm(t)
	box := registry.Mailbox{User: registry.User{
		UserID: anna, Enabled: true, Store: "dove", Clients: []string{"mobile"}, Credential: registry.Credential{State: registry.CredentialNone},
	}}
	s := Shards{Policy: w.Policy, Shards: 4, Epochs: &fakeShards{epoch: 5}, Mailboxes: &fakeShards{epoch: 5, boxes: []registry.Mailbox{box}}}
	claim := registry.Claim{Shard: registry.Shard{Backend: "dovecot", Number: registry.ShardOf(anna, 4)}, Epoch: 5}
	page, err := s.List(t.Context(), Listing{Claims: []registry.Claim{claim}, KnowsSlots: true})
	if err != nil || len(page.Mailboxes) != 1 || page.Mailboxes[0].Doveadm != "1/249" {
		t.Errorf("got %+v, %v", page, err)
	}
}
