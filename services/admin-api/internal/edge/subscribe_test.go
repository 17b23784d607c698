// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/pkg/secret"
	"mailpush.internal/services/admin-api/internal/decide"
	"mailpush.internal/services/admin-api/internal/registry"
)

func TestSubscribeStoresAndTells(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, err := w.Subscribe(t.Context(), request())
	if err != nil || !a.Permanent || a.Reason != "" {
		t.Fatalf("got %+v, %v", a, err)
	}
	if !regexp.MustCompile(`^sub_[a-z2-7]{26}$`).MatchString(a.ID) || checkSecret("", registry.SchemeV1, a.Keys.Made) != nil {
		t.Errorf("id %q or secret malformed", a.ID)
	}
	if w.login(t, anna) != "anna:pw" || w.secret(t, a.ID) != a.Keys.Made.Reveal() || len(w.vault.sealed) != 2 || len(w.store.erasures) != 0 {
		t.Errorf("vault %v, noted %v", w.vault.sealed, w.store.erasures)
	}
	sub := w.store.subs[0]
	if len(sub.Cursors) != 1 || sub.Cursors[0].UID != 100 || sub.Signing.Version == 0 {
		t.Errorf("stored %+v", sub)
	}
	if diff := cmp.Diff([]registry.Shard{idle(registry.ShardOf(anna, 4))}, w.cluster.touched); diff != "" {
		t.Error(diff)
	}
}

func TestSubscribeAgainKeepsIDAndCursorAndLiftsSuspension(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.workers.baseline["a1"] = fault.New(fault.Unauthenticated, "mail store demo: wrong password")
	first, err := w.Subscribe(t.Context(), request())
	if err != nil || first.Permanent || first.Reason != "credential suspended: mail store demo: wrong password" {
		t.Fatalf("wrong password: %+v, %v", first, err)
	}
	u, _ := w.store.User(t.Context(), anna)
	if u.Credential.State != registry.CredentialSuspended || len(w.store.subs[0].Cursors) != 0 || len(w.cluster.touched) != 1 {
		t.Errorf("wrong password stored as %+v, cursors %v", u.Credential, w.store.subs[0].Cursors)
	}

	// Without a new login nothing is tried again.
	asked := len(w.workers.asked)
	again := request()
	again.Account = nil
	a, err := w.Subscribe(t.Context(), again)
	if err != nil || a.ID != first.ID || a.Permanent || len(w.workers.asked) != asked {
		t.Errorf("without account: %+v, %v", a, err)
	}

	delete(w.workers.baseline, "a1")
	again = request()
	again.Secret = newKeys(registry.SchemeV1, secret.String{}).Made
	a, err = w.Subscribe(t.Context(), again)
	if err != nil || !a.Permanent || a.ID != first.ID || !a.Keys.Made.IsZero() {
		t.Fatalf("new login: %+v, %v", a, err)
	}
	if got := w.secret(t, a.ID); got != again.Secret.Reveal() {
		t.Error("the signing secret was not replaced")
	}
	w.store.subs[0].Cursors[0].UID = 50
	if _, err = w.Subscribe(t.Context(), request()); err != nil || w.store.subs[0].Cursors[0].UID != 50 {
		t.Errorf("the cursor was not kept: %+v, %v", w.store.subs, err)
	}
	asked = len(w.workers.asked)
	again.Account = nil
	if a, err := w.Subscribe(t.Context(), again); err != nil || !a.Permanent || len(w.workers.asked) != asked {
		t.Errorf("neither login nor cursor is new, yet a worker was asked: %+v, %v", a, err)
	}
	other := request()
	other.Device = "d2"
	if b, err := w.Subscribe(t.Context(), other); err != nil || b.ID == a.ID {
		t.Errorf("another device: %+v, %v", b, err)
	}
}

func TestSubscribeLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	down := fault.New(fault.Unavailable, "down")
	unheard := errors.Join(ErrNoAnswer, down)
	inDoubt := map[string]int{"vault down": 2, "vault down for webhook": 2} // may have been sealed all the same
	tests := map[string]func(*world){
		"vault down":               func(w *world) { w.vault.failing["mail"] = down },
		"vault down for webhook":   func(w *world) { w.vault.failing["webhook"] = down },
		"scheduler down":           func(w *world) { w.scheduler.err = down },
		"no capable worker":        func(w *world) { w.scheduler.members.Workers = w.scheduler.members.Workers[1:] },
		"mail store unreachable":   func(w *world) { w.workers.baseline["a1"] = down },
		"no worker answers":        func(w *world) { w.workers.baseline["a1"] = unheard },
		"worker finds no login":    func(w *world) { w.workers.baseline["a1"] = fault.New(fault.NotFound, "no credential") },
		"worker finds another":     func(w *world) { w.vault.version, w.workers.old = 9, map[string]bool{"a1": true} },
		"registry does not commit": func(w *world) { w.store.failing = down },
	}
	for name, breakIt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			breakIt(w)
			a, err := w.Subscribe(t.Context(), request())
			if fault.KindOf(err) != fault.Unavailable {
				t.Errorf("got %+v, %v", a, err)
			}
			if len(w.store.users)+len(w.store.subs)+len(w.vault.sealed)+len(w.cluster.touched) != 0 || len(w.store.erasures) != inDoubt[name] {
				t.Errorf("left behind: %+v %+v", w.store, w.vault.sealed)
			}
		})
	}
}

// What a Subscribe that fails has sealed was the login of all devices, or the secret of
// the endpoint, from then on.
func TestFailedSubscribeKeepsWhatWasThere(t *testing.T) {
	t.Parallel()
	down := fault.New(fault.Unavailable, "down")
	for name, breakIt := range map[string]func(*world){
		"mail store unreachable":   func(w *world) { w.workers.baseline["a1"] = down },
		"vault down for webhook":   func(w *world) { w.vault.failing["webhook"] = down },
		"registry does not commit": func(w *world) { w.store.failing = down },
	} {
		for _, device := range []string{"d1", "d2"} {
			t.Run(name+" "+device, func(t *testing.T) {
				t.Parallel()
				w, _ := subscribed(t, nil)
				before := maps.Clone(w.vault.sealed)
				breakIt(w)
				r := request()
				r.Device, r.Account.Password, r.Secret = device, secret.New("wrong"), newKeys(registry.SchemeV1, secret.String{}).Made
				if _, err := w.Subscribe(t.Context(), r); fault.KindOf(err) != fault.Unavailable {
					t.Error(err)
				}
				if diff := cmp.Diff(before, w.vault.sealed); diff != "" {
					t.Errorf("vault (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// Nothing that is being replaced goes before the registry has said so, nor while a
// worker may not have read so.
func TestReplacedLoginAndSecretStayForAWhile(t *testing.T) {
	t.Parallel()
	w, a := subscribed(t, nil)
	before := maps.Clone(w.vault.sealed)
	r := request()
	r.Account.Password, r.Secret = secret.New("new"), newKeys(registry.SchemeV1, secret.String{}).Made
	b, err := w.Subscribe(t.Context(), r)
	if err != nil || b.ID != a.ID || w.login(t, anna) != "anna:new" || w.secret(t, a.ID) != r.Secret.Reveal() {
		t.Fatalf("got %+v, %v", b, err)
	}
	if err := w.EraseNoted(t.Context()); err != nil {
		t.Error(err)
	}
	for account, was := range before {
		if w.vault.sealed[account] != was {
			t.Errorf("%s has gone already", account)
		}
	}
	w.store.pass()
	if err := w.EraseNoted(t.Context()); err != nil || len(w.vault.sealed) != 2 || w.login(t, anna) != "anna:new" {
		t.Errorf("after a while: %v, %v", w.vault.sealed, err)
	}
}

// One replica removes the user's last subscription, which takes its time; another one
// subscribes the user meanwhile.
func TestRemovalKeepsTheLoginThatAnotherReplicaHasStored(t *testing.T) {
	t.Parallel()
	for name, remove := range map[string]func(*world, string) error{
		"unsubscribe": func(w *world, id string) error { return w.Unsubscribe(t.Context(), id, everywhere) },
		"noted":       func(w *world, _ string) error { return w.EraseNoted(t.Context()) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, a := subscribed(t, nil)
			other := New(w.Config)
			subscribe := func() {
				if _, err := other.Subscribe(t.Context(), request()); err != nil {
					t.Error(err)
				}
			}
			if name == "unsubscribe" {
				w.cluster.during = subscribe
			} else {
				w.vault.failing["delete"] = fault.New(fault.Unavailable, "down")
				if err := w.Unsubscribe(t.Context(), a.ID, everywhere); err != nil {
					t.Fatal(err)
				}
				delete(w.vault.failing, "delete")
				w.vault.during = subscribe
			}
			if err := remove(w, a.ID); err != nil {
				t.Error(err)
			}
			if w.login(t, anna) != "anna:pw" || len(w.vault.sealed) != 2 || len(w.store.erasures) != 0 {
				t.Errorf("vault %v, noted %v", w.vault.sealed, w.store.erasures)
			}
		})
	}
}

func TestCommitWhoseAnswerIsLostKeepsWhatItNames(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.store.failing, w.store.lost = fault.New(fault.Unavailable, "down"), true
	for range 2 {
		if _, err := w.Subscribe(t.Context(), request()); fault.KindOf(err) != fault.Unavailable {
			t.Error(err)
		}
		if w.login(t, anna) == "" || w.secret(t, w.store.subs[0].ID) == "" {
			t.Errorf("vault %v", w.vault.sealed)
		}
	}
}

func TestUndoneSealIsErasedLaterWhenTheVaultIsDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.workers.baseline["a1"] = fault.New(fault.Unavailable, "down")
	w.vault.failing["delete"] = fault.New(fault.Unavailable, "vault down")
	_, _ = w.Subscribe(t.Context(), request())
	if len(w.store.erasures) != 2 || len(w.vault.sealed) != 2 {
		t.Fatalf("noted %v", w.store.erasures)
	}
	delete(w.vault.failing, "delete")
	if err := w.EraseNoted(t.Context()); err != nil || len(w.store.erasures)+len(w.vault.sealed) != 0 {
		t.Errorf("left: %v %v, error %v", w.store.erasures, w.vault.sealed, err)
	}
}

func TestSubscribeAsksTheNextWorkerWhenOneDoesNotAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	idle := []string{"imapidle"}
	w.scheduler.members.Workers = []Worker{
		{ID: "leaving", Address: "a9", Backends: idle, Draining: true},
		{ID: "w1", Address: "a1", Backends: idle}, {ID: "w3", Address: "a3", Backends: idle},
	}
	w.workers.baseline["a1"] = errors.Join(ErrNoAnswer, fault.New(fault.Unavailable, "down"))
	w.workers.baseline["a3"] = w.workers.baseline["a1"]
	a, err := w.Subscribe(t.Context(), request())
	if err != nil || !a.Permanent || len(w.workers.asked) != 3 || w.workers.asked[2] != "a9" {
		t.Errorf("got %+v, %v after asking %v", a, err, w.workers.asked)
	}
}

func TestSubscribeWithoutAListenerSaysWhy(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(*world, *Request)
		reason string
	}{
		"no account":  {func(_ *world, r *Request) { r.Account = nil }, "no mail store is known"},
		"storage off": {func(w *world, _ *Request) { w.Policy.CredStorage = false }, "push.credstorage.enabled is off"},
		"backend off": {func(w *world, _ *Request) { w.Policy.PermanentBackends["imapidle"] = false }, "imapidle.supportsPermanentListeners is off"},
		"push off":    {func(w *world, _ *Request) { w.Policy.AllowPermanentPush = false }, "push.allowPermanentPush is off"},
		"credential lost": {func(w *world, r *Request) {
			w.store.users[anna] = registry.User{UserID: anna, Enabled: true, Store: "demo", Credential: registry.Credential{
				State: registry.CredentialStored, Kind: registry.KindPassword, Version: 1, Slot: 5,
			}}
			w.workers.baseline["a1"], r.Account = fault.New(fault.NotFound, "no credential"), nil
		}, "no login is stored"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			r := request()
			tt.change(w, &r)
			a, err := w.Subscribe(t.Context(), r)
			if err != nil || a.Permanent || !strings.Contains(a.Reason, tt.reason) {
				t.Errorf("got %+v, %v", a, err)
			}
			if len(w.store.subs) != 1 || len(w.store.subs[0].Cursors) != 0 {
				t.Errorf("stored %+v", w.store.subs)
			}
		})
	}
}

func TestARefusedMasterUserSuspendsNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Policy.MasterUser, w.Policy.CredStorage = true, false
	r := request()
	r.Account.Login = ""
	w.workers.baseline["a1"] = fault.New(fault.Unauthenticated, "mail store refused the master user: no")
	a, err := w.Subscribe(t.Context(), r)
	const want = "mail store refused the master user: no; the operator has to mend that, try again then"
	if fault.KindOf(err) != fault.Unavailable || err.Error() != want {
		t.Errorf("got %+v, %v", a, err)
	}
	if len(w.store.users)+len(w.store.subs)+len(w.vault.sealed) != 0 {
		t.Errorf("left behind: %+v %+v", w.store, w.vault.sealed)
	}
	delete(w.workers.baseline, "a1")
	if a, err = w.Subscribe(t.Context(), r); err != nil || !a.Permanent {
		t.Errorf("after the operator has mended it: %+v, %v", a, err)
	}
}

func TestSubscribeRefusesAndNamesTheField(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(*world, *Request)
		kind   fault.Kind
		want   string
	}{
		"client": {func(w *world, _ *Request) { w.Policy.AllowedClients = decide.Clients{"desk*"} },
			fault.Denied, `clientId: client "mobile" is not allowed by push.allowedClients`},
		"store": {func(_ *world, r *Request) { r.Account.Store = "x" },
			fault.Invalid, `account.mailStore: no such mail store "x"; known: demo, sleepy`},
		"password": {func(_ *world, r *Request) { r.Account.Password = secret.String{} }, fault.Invalid, "account.password: is required"},
		"no login": {func(_ *world, r *Request) { r.Account.Login = "" }, fault.Invalid, "account.login: is required"},
		"url":      {func(_ *world, r *Request) { r.Target.Address = "http://h/" }, fault.Invalid, "webhook.url: must be https"},
		"url with a space": {
			func(_ *world, r *Request) { r.Target.Address = "https://h/?q HTTP/1.1" }, fault.Invalid, "webhook.url: must not hold a space",
		},
		"url with a control": {
			func(_ *world, r *Request) { r.Target.Address = "https://h/\r\nX: y" }, fault.Invalid, "webhook.url: must not hold a control",
		},
		"url beyond ASCII": {
			func(_ *world, r *Request) { r.Target.Address = "https://h/ü" }, fault.Invalid, "webhook.url: must have letters beyond ASCII",
		},
		"url with a fragment": {
			func(_ *world, r *Request) { r.Target.Address = "https://h/#x" }, fault.Invalid, "webhook.url: must not carry a fragment",
		},
		"url with user info": {
			func(_ *world, r *Request) { r.Target.Address = "https://u:p@h/" }, fault.Invalid, "webhook.url: must not carry user info",
		},
		"transport": {func(_ *world, r *Request) { r.Target.Transport = "fax" }, fault.Invalid, `there is no transport "fax"`},
		"secret":    {func(_ *world, r *Request) { r.Secret = secret.New("whsec_!") }, fault.Invalid, "webhook.secret: must be whsec_"},
		"header": {func(_ *world, r *Request) { r.Headers = map[string]secret.String{"Host": secret.New("h")} },
			fault.Invalid, `webhook.headers["Host"]: must not be set`},
		"private key": {func(_ *world, r *Request) {
			r.Scheme, r.Secret = registry.SchemeV1a, secret.New("whsk_x")
		},
			fault.Invalid, "webhook.secret: must be left out: the key pair of v1a is made here"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			r := request()
			tt.change(w, &r)
			_, err := w.Subscribe(t.Context(), r)
			if fault.KindOf(err) != tt.kind || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("got %v", err)
			}
			if len(w.vault.sealed) != 0 {
				t.Error("a refused request reached the vault")
			}
		})
	}
}

func TestSubscribeRefusesOneDeviceTooMany(t *testing.T) {
	t.Parallel()
	w, a := subscribed(t, nil)
	for len(w.store.subs) < registry.MaxSubscriptions {
		more := w.store.subs[0]
		more.ID, more.Device = newID(), newID()
		w.store.subs = append(w.store.subs, more)
	}
	r := request()
	r.Device = "one more"
	_, err := w.Subscribe(t.Context(), r)
	if fault.KindOf(err) != fault.Exhausted || !strings.HasPrefix(err.Error(), "deviceId: ") || len(w.vault.sealed) != 2 {
		t.Errorf("got %v, vault %v", err, w.vault.sealed)
	}
	if again, err := w.Subscribe(t.Context(), request()); err != nil || again.ID != a.ID {
		t.Errorf("a known device: %+v, %v", again, err)
	}
	if err := w.Unsubscribe(t.Context(), a.ID, everywhere); err != nil {
		t.Error(err)
	}
	if _, err := w.Subscribe(t.Context(), r); err != nil {
		t.Errorf("in place of another: %v", err)
	}
}

func TestUnsubscribeAndUnregister(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first, err := w.Subscribe(t.Context(), request())
	if err != nil {
		t.Fatal(err)
	}
	web := request()
	web.Client = "web"
	if _, err := w.Subscribe(t.Context(), web); err != nil {
		t.Fatal(err)
	}
	none := func(string) bool { return false }
	if err := w.Unsubscribe(t.Context(), first.ID, none); fault.KindOf(err) != fault.NotFound || len(w.store.subs) != 2 {
		t.Errorf("a foreign subscription: %v", err)
	}
	w.cluster.touched = nil
	if err := w.Unsubscribe(t.Context(), first.ID, func(c string) bool { return c == "1" }); err != nil {
		t.Error(err)
	}
	if w.login(t, anna) == "" || len(w.cluster.touched) != 1 {
		t.Errorf("after one of two: vault %v, touched %v", slices.Collect(maps.Keys(w.vault.sealed)), w.cluster.touched)
	}
	// The client has left the list of allowed ones, and the vault is down.
	w.Policy.AllowedClients = decide.Clients{"none"}
	w.vault.failing["delete"] = fault.New(fault.Unavailable, "down")
	if err := w.Unregister(t.Context(), anna, "web"); err != nil || len(w.cluster.touched) != 2 {
		t.Errorf("last registration: %v, touched %v", err, w.cluster.touched)
	}
	delete(w.vault.failing, "delete")
	w.store.pass()
	if err := w.EraseNoted(t.Context()); err != nil || len(w.vault.sealed)+len(w.store.erasures) != 0 {
		t.Errorf("vault %v, noted %v, error %v", w.vault.sealed, w.store.erasures, err)
	}
	if err := w.Unregister(t.Context(), anna, "web"); fault.KindOf(err) != fault.NotFound {
		t.Errorf("twice: %v", err)
	}
}
