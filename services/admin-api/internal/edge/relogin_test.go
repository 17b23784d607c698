// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/pkg/secret"
	"mailpush.internal/services/admin-api/internal/registry"
)

// state is all that a Subscribe may change.
type state struct {
	Users  map[registry.UserID]registry.User
	Subs   []registry.Subscription
	Sealed map[string]string
	Noted  int
	Told   []registry.Shard
}

func (w *world) state() state {
	return state{
		maps.Clone(w.store.users), slices.Clone(w.store.subs), maps.Clone(w.vault.sealed), len(w.store.erasures),
		slices.Clone(w.cluster.touched),
	}
}

// withMaster is a world whose mailboxes a master user opens, unless a password is given.
func withMaster(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.Policy.MasterUser = true
	return w
}

// bothWays is a Dovecot that doveadm opens, unless a password is given.
func bothWays(t *testing.T) *world {
	t.Helper()
	w := withDoveadm(t)
	w.Policy.CredStorage = true
	return w
}

// relogin is a user who has a login when another one is brought.
type relogin struct {
	world       func(*testing.T) *world
	first, then Account
	between     func(*world)
	any         bool // the caller is an administrator
}

func relogins() map[string]relogin {
	pw, guess := secret.New("pw"), secret.New("guess")
	return map[string]relogin{
		"another password": {world: newWorld, first: Account{"demo", "anna", pw}, then: Account{"demo", "anna", guess}},
		"another login":    {world: newWorld, first: Account{"demo", "anna", pw}, then: Account{"demo", "zoe", guess}},
		"the same again":   {world: newWorld, first: Account{"demo", "anna", pw}, then: Account{"demo", "anna", pw}},
		"at another mail store": {world: newWorld, first: Account{"demo", "anna", pw},
			then: Account{"sleepy", "anna", guess}},
		"in place of a suspended one": {world: newWorld, first: Account{"demo", "anna", pw}, then: Account{"demo", "anna", guess},
			between: func(w *world) {
				u := w.store.users[anna]
				u.Credential.State, u.Credential.Reason = registry.CredentialSuspended, "refused"
				w.store.users[anna] = u
			}},
		"while pushes are off": {world: newWorld, first: Account{"demo", "anna", pw}, then: Account{"demo", "anna", guess},
			between: func(w *world) { w.Policy.AllowPermanentPush = false }},
		"of a user who is disabled": {world: newWorld, first: Account{"demo", "anna", pw}, then: Account{"demo", "anna", guess},
			between: func(w *world) {
				u := w.store.users[anna]
				u.Enabled = false
				w.store.users[anna] = u
			}},
		"in place of the master user":       {world: withMaster, first: Account{Store: "demo"}, then: Account{"demo", "anna", guess}},
		"in place of doveadm":               {world: bothWays, first: Account{Store: "dove"}, then: Account{"dove", "anna", guess}},
		"another name for doveadm":          {world: bothWays, first: Account{Store: "dove"}, then: Account{Store: "dove", Login: "zoe"}, any: true},
		"doveadm in place of a password":    {world: bothWays, first: Account{"dove", "anna", pw}, then: Account{Store: "dove"}},
		"a password where doveadm is newer": {world: newWorld, first: Account{"demo", "anna", pw}, then: Account{"demo", "anna", guess}, between: doveadmOnly},
	}
}

// doveadmOnly leaves the user without a login in the vault, at a store that has doveadm now.
func doveadmOnly(w *world) {
	w.Policy.Doveadm = map[string]string{"demo": "{user}@{context}"}
	u := w.store.users[anna]
	u.Credential = registry.Credential{State: registry.CredentialNone, Version: u.Credential.Version}
	w.store.users[anna] = u
}

// One client's old password stopped the others: what was refused came into the place of
// what worked.
func TestARefusedLoginReplacesNone(t *testing.T) {
	t.Parallel()
	refused := fault.New(fault.Unauthenticated, "mail store refused the credential: [AUTHENTICATIONFAILED] no")
	down := fault.New(fault.Unavailable, "mail store does not answer")
	for name, tt := range relogins() {
		for _, device := range []string{"d1", "d2"} {
			for outcome, answer := range map[string]*fault.Error{"refused": refused, "unreachable": down} {
				t.Run(name+" "+outcome+" "+device, func(t *testing.T) {
					t.Parallel()
					w := tt.world(t)
					r := request()
					r.AnyLogin, r.Account = tt.any, &tt.first
					if _, err := w.Subscribe(t.Context(), r); err != nil {
						t.Fatal(err)
					}
					if tt.between != nil {
						tt.between(w)
					}
					before := w.state()
					for _, a := range []string{"a1", "a2", "a3"} {
						w.workers.baseline[a] = answer
					}
					r.Device, r.Account = device, &tt.then
					if device != "d1" {
						r.Client = "desktop"
					}
					_, err := w.Subscribe(t.Context(), r)
					if outcome == "refused" && (fault.KindOf(err) != fault.Precondition || !strings.HasPrefix(fmt.Sprint(err), "account: "+refused.Message)) {
						t.Errorf("got %v", err)
					}
					if outcome != "refused" && fault.KindOf(err) != fault.Unavailable {
						t.Errorf("got %v", err)
					}
					if diff := cmp.Diff(before, w.state()); diff != "" {
						t.Errorf("something has changed (-before +after):\n%s", diff)
					}
					if strings.Contains(fmt.Sprint(err), "guess") {
						t.Errorf("the error tells a password: %v", err)
					}
				})
			}
		}
	}
}

// With the vault down a login is not even tried.
func TestAVaultThatIsDownLeavesTheLoginInForce(t *testing.T) {
	t.Parallel()
	w, _ := subscribed(t, nil)
	before, asked := w.state(), len(w.workers.asked)
	w.vault.failing["mail"] = fault.New(fault.Unavailable, "vault down")
	r := request()
	r.Device, r.Account.Password = "d2", secret.New("guess")
	if _, err := w.Subscribe(t.Context(), r); fault.KindOf(err) != fault.Unavailable || len(w.workers.asked) != asked {
		t.Errorf("got %v after %d questions", err, len(w.workers.asked)-asked)
	}
	after := w.state()
	after.Noted -= 2 // they may have been sealed all the same, and are erased in time
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("something has changed (-before +after):\n%s", diff)
	}
}

func TestAnAcceptedLoginReplacesWhatWasThere(t *testing.T) {
	t.Parallel()
	for name, tt := range relogins() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := tt.world(t)
			r := request()
			r.AnyLogin, r.Account = tt.any, &tt.first
			if _, err := w.Subscribe(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			if tt.between != nil {
				tt.between(w)
			}
			asked := len(w.workers.asked)
			r.Device, r.Account = "d2", &tt.then
			if _, err := w.Subscribe(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			want := tt.then.Login + ":" + tt.then.Password.Reveal()
			if tt.then.Password.IsZero() {
				want = "" // doveadm takes none
			}
			if u := w.store.users[anna]; w.login(t, anna) != want || u.Store != tt.then.Store || u.Credential.State == registry.CredentialSuspended {
				t.Errorf("login %q, want %q; %+v", w.login(t, anna), want, u)
			}
			if len(w.workers.asked) == asked {
				t.Error("nobody has tried it")
			}
		})
	}
}

// An account that brings no login that can be used must not take a login to another mail
// store: that one would be shown a password of the first.
func TestALoginStaysAtItsMailStore(t *testing.T) {
	t.Parallel()
	w, _ := subscribed(t, nil)
	w.Policy.CredStorage = false
	r := request()
	r.Account.Store = "sleepy"
	if a, err := w.Subscribe(t.Context(), r); err != nil || a.Permanent || !strings.Contains(a.Reason, "push.credstorage.enabled") {
		t.Errorf("got %+v, %v", a, err)
	}
	if u := w.store.users[anna]; u.Store != "demo" || w.login(t, anna) != "anna:pw" {
		t.Errorf("stored %+v", u)
	}
}

// Two replicas have a user's first login each: one is good. The other one must not suspend
// the user when it comes to store what was refused.
func TestARefusedFirstLoginGivesWayToAGoodOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := New(w.Config)
	refused := fault.New(fault.Unauthenticated, "refused")
	w.workers.baseline["a1"] = refused
	w.store.faster = func() {
		delete(w.workers.baseline, "a1")
		r := request()
		r.Device = "d2"
		if a, err := other.Subscribe(t.Context(), r); err != nil || !a.Permanent {
			t.Errorf("the good one: %+v, %v", a, err)
		}
		w.workers.baseline["a1"] = refused
	}
	r := request()
	r.Account.Password = secret.New("guess")
	if _, err := w.Subscribe(t.Context(), r); fault.KindOf(err) != fault.Precondition {
		t.Errorf("the wrong one: %v", err)
	}
	if len(w.store.subs) != 1 || w.login(t, anna) != "anna:pw" || len(w.vault.sealed) != 2 || len(w.store.erasures) != 0 {
		t.Errorf("left %+v, vault %v, noted %v", w.store.users, w.vault.sealed, w.store.erasures)
	}
}

// Whoever was overtaken begins anew from what is there, and gives up in the end.
func TestAnOvertakenSubscribeBeginsAnew(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	times := 0
	var again func()
	again = func() {
		times++
		w.store.faster = again
	}
	w.store.faster = again
	_, err := w.Subscribe(t.Context(), request())
	if fault.KindOf(err) != fault.Unavailable || times != attempts || len(w.vault.sealed)+len(w.store.erasures) != 0 {
		t.Errorf("got %v after %d times, vault %v", err, times, w.vault.sealed)
	}
	w.store.faster = func() {}
	if a, err := w.Subscribe(t.Context(), request()); err != nil || !a.Permanent || len(w.vault.sealed) != 2 {
		t.Errorf("got %+v, %v, vault %v", a, err, w.vault.sealed)
	}
}

// A mail store that takes its time holds up nobody but the same device.
func TestATrialHoldsUpNobodyElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	hangs, goOn, done := make(chan struct{}), make(chan struct{}), make(chan error)
	w.workers.during = func(u registry.User) {
		if u.Clients[0] == "slow" && len(u.Clients) == 1 {
			close(hangs)
			<-goOn
		}
	}
	slow := request()
	slow.Client = "slow"
	go func() {
		_, err := w.Subscribe(t.Context(), slow)
		done <- err
	}()
	<-hangs
	a, err := w.Subscribe(t.Context(), request())
	if err != nil || !a.Permanent {
		t.Errorf("meanwhile: %+v, %v", a, err)
	}
	if err := w.Unsubscribe(t.Context(), a.ID, everywhere); err != nil {
		t.Error(err)
	}
	close(goOn)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if len(w.locks.turns)+len(w.devices.turns) != 0 {
		t.Error("locks are left")
	}
}
