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
	want := map[string]string{"249@1 mail": "anna:pw", "249@1 webhook/" + a.ID: a.Keys.Made.Reveal()}
	if diff := cmp.Diff(want, w.vault.sealed); diff != "" {
		t.Errorf("vault (-want +got):\n%s", diff)
	}
	sub := w.store.subs[0]
	if len(sub.Cursors) != 1 || sub.Cursors[0].UID != 100 || sub.Signing.Version == 0 {
		t.Errorf("stored %+v", sub)
	}
	if diff := cmp.Diff([]uint32{registry.ShardOf(anna, 4)}, w.cluster.touched); diff != "" {
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
	again.Webhook.Secret = newKeys(registry.SchemeV1, secret.String{}).Made
	a, err = w.Subscribe(t.Context(), again)
	if err != nil || !a.Permanent || a.ID != first.ID || !a.Keys.Made.IsZero() {
		t.Fatalf("new login: %+v, %v", a, err)
	}
	if got := w.vault.sealed["249@1 webhook/"+a.ID]; got != again.Webhook.Secret.Reveal() {
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
	tests := map[string]func(*world){
		"vault down":               func(w *world) { w.vault.failing["mail"] = down },
		"vault down for webhook":   func(w *world) { w.vault.failing["webhook"] = down },
		"scheduler down":           func(w *world) { w.scheduler.err = down },
		"no capable worker":        func(w *world) { w.scheduler.members.Workers = w.scheduler.members.Workers[1:] },
		"mail store unreachable":   func(w *world) { w.workers.baseline["a1"] = down },
		"no worker answers":        func(w *world) { w.workers.baseline["a1"] = unheard },
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
			if len(w.store.users)+len(w.store.subs)+len(w.vault.sealed)+len(w.store.erasures)+len(w.cluster.touched) != 0 {
				t.Errorf("left behind: %+v %+v", w.store, w.vault.sealed)
			}
		})
	}
}

func TestFailedSubscribeKeepsWhatWasThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if _, err := w.Subscribe(t.Context(), request()); err != nil {
		t.Fatal(err)
	}
	before := maps.Clone(w.vault.sealed)
	w.workers.baseline["a1"] = fault.New(fault.Unavailable, "down")
	other := request()
	other.Device = "d2"
	if _, err := w.Subscribe(t.Context(), other); fault.KindOf(err) != fault.Unavailable {
		t.Error(err)
	}
	if diff := cmp.Diff(before, w.vault.sealed); diff != "" {
		t.Errorf("vault (-want +got):\n%s", diff)
	}
}

func TestUndoneSealIsErasedLaterWhenTheVaultIsDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.workers.baseline["a1"] = fault.New(fault.Unavailable, "down")
	w.vault.failing["delete"] = fault.New(fault.Unavailable, "vault down")
	_, _ = w.Subscribe(t.Context(), request())
	if len(w.store.erasures) != 1 || len(w.vault.sealed) != 1 {
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
		"backend off": {func(w *world, _ *Request) { w.Policy.PermanentBackends = nil }, "imapidle.supportsPermanentListeners is off"},
		"push off":    {func(w *world, _ *Request) { w.Policy.AllowPermanentPush = false }, "push.allowPermanentPush is off"},
		"credential lost": {func(w *world, _ *Request) {
			w.workers.baseline["a1"] = fault.New(fault.NotFound, "no credential")
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
		"url":      {func(_ *world, r *Request) { r.Webhook.URL = "http://h/" }, fault.Invalid, "webhook.url: must be https"},
		"secret":   {func(_ *world, r *Request) { r.Webhook.Secret = secret.New("whsec_!") }, fault.Invalid, "webhook.secret: must be whsec_"},
		"private key": {func(_ *world, r *Request) {
			r.Webhook.Scheme, r.Webhook.Secret = registry.SchemeV1a, secret.New("whsk_x")
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
	if _, kept := w.vault.sealed["249@1 mail"]; !kept || len(w.vault.sealed) != 2 || len(w.cluster.touched) != 1 {
		t.Errorf("after one of two: vault %v, touched %v", slices.Collect(maps.Keys(w.vault.sealed)), w.cluster.touched)
	}
	// The client has left the list of allowed ones, and the vault is down.
	w.Policy.AllowedClients = decide.Clients{"none"}
	w.vault.failing["delete"] = fault.New(fault.Unavailable, "down")
	if err := w.Unregister(t.Context(), anna, "web"); err != nil || len(w.cluster.touched) != 2 {
		t.Errorf("last registration: %v, touched %v", err, w.cluster.touched)
	}
	delete(w.vault.failing, "delete")
	if err := w.EraseNoted(t.Context()); err != nil || len(w.vault.sealed)+len(w.store.erasures) != 0 {
		t.Errorf("vault %v, noted %v, error %v", w.vault.sealed, w.store.erasures, err)
	}
	if err := w.Unregister(t.Context(), anna, "web"); fault.KindOf(err) != fault.NotFound {
		t.Errorf("twice: %v", err)
	}
}

func TestTouchThatFailsIsSaid(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cluster.err = errors.New("etcd down")
	_, err := w.Subscribe(t.Context(), request())
	if fault.KindOf(err) != fault.Unavailable || len(w.store.subs) != 1 {
		t.Errorf("got %v, stored %v", err, w.store.subs)
	}
	if err := w.Unregister(t.Context(), anna, "mobile"); fault.KindOf(err) != fault.Unavailable || len(w.vault.sealed) != 0 {
		t.Errorf("got %v, vault %v", err, w.vault.sealed)
	}
}
