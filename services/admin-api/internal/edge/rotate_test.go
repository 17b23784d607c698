// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/pkg/secret"
	"mailpush.internal/services/admin-api/internal/registry"
)

// subscribed is a world with one subscription, of which the owner knows.
func subscribed(t *testing.T, change func(*Request)) (*world, Answer) {
	t.Helper()
	w, r := newWorld(t), request()
	if change != nil {
		change(&r)
	}
	a, err := w.Subscribe(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	w.cluster.touched = nil
	return w, a
}

// verifies says whether a public key verifies what the sealed private key signs.
func verifies(t *testing.T, sealed, public string) bool {
	t.Helper()
	seed, err1 := base64.StdEncoding.DecodeString(strings.TrimPrefix(sealed, "whsk_"))
	raw, err2 := base64.StdEncoding.DecodeString(strings.TrimPrefix(public, "whpk_"))
	if err1 != nil || err2 != nil || len(seed) != ed25519.SeedSize || len(raw) != ed25519.PublicKeySize {
		return false
	}
	return ed25519.Verify(raw, []byte("push"), ed25519.Sign(ed25519.NewKeyFromSeed(seed), []byte("push")))
}

func TestRotateSealsIntoTheOtherSlot(t *testing.T) {
	t.Parallel()
	w, a := subscribed(t, func(r *Request) { r.Webhook.Scheme = registry.SchemeV1a })
	first := w.vault.sealed["249@1 webhook/"+a.ID]
	if !verifies(t, first, a.Keys.Public) || !a.Keys.Made.IsZero() {
		t.Errorf("the key pair does not fit, or the private key is shown: %+v", a.Keys)
	}
	began := time.Now()
	keys, until, err := w.Rotate(t.Context(), a.ID, Rotation{Scheme: registry.SchemeV1, Overlap: time.Hour}, everywhere)
	if err != nil || until.Before(began.Add(time.Hour)) || until.After(time.Now().Add(time.Hour)) {
		t.Fatalf("until %v, error %v", until, err)
	}
	if w.vault.sealed["249@1 webhook/"+a.ID] != first || w.vault.sealed["249@1 webhook/"+a.ID+"/1"] != keys.Made.Reveal() {
		t.Error("the secret is in the wrong slot")
	}
	want := registry.Signing{Scheme: registry.SchemeV1, Version: w.vault.version, Slot: 1, PreviousUntil: until}
	if w.store.rotated != want || !slices.Equal(w.cluster.touched, []uint32{registry.ShardOf(anna, 4)}) {
		t.Errorf("stored %+v, touched %v", w.store.rotated, w.cluster.touched)
	}
	w.store.subs[0].Signing = want
	keys, _, err = w.Rotate(t.Context(), a.ID, Rotation{Scheme: registry.SchemeV1}, everywhere)
	if fault.KindOf(err) != fault.Precondition || !keys.Made.IsZero() || !strings.Contains(err.Error(), until.UTC().Format(time.RFC3339)) {
		t.Errorf("during the overlap: %v", err)
	}
	w.store.subs[0].Signing.PreviousUntil = began
	keys, _, err = w.Rotate(t.Context(), a.ID, Rotation{Scheme: registry.SchemeV1a}, everywhere)
	if err != nil || !verifies(t, w.vault.sealed["249@1 webhook/"+a.ID], keys.Public) || w.store.rotated.Slot != 0 {
		t.Errorf("back: %+v, %v", w.store.rotated, err)
	}
	w.store.subs[0].Signing.Slot = 1
	if _, err := w.Subscribe(t.Context(), request()); err != nil || w.store.subs[0].Signing.Slot != 1 {
		t.Errorf("subscribed again: %+v, %v", w.store.subs[0].Signing, err)
	}
	if got := w.vault.sealed["249@1 webhook/"+a.ID+"/1"]; got == "" || w.store.subs[0].Signing.Version != w.vault.version {
		t.Error("Subscribe has not sealed into the current slot")
	}
	if err := w.Unsubscribe(t.Context(), a.ID, everywhere); err != nil || len(w.vault.sealed) != 0 {
		t.Errorf("left in the vault: %v, error %v", w.vault.sealed, err)
	}
}

func TestRotateRefuses(t *testing.T) {
	t.Parallel()
	given := newKeys(registry.SchemeV1, secret.String{}).Made
	for name, tt := range map[string]struct {
		change   func(*world)
		id       string
		rotation Rotation
		covers   func(string) bool
		kind     fault.Kind
		words    string
	}{
		"unknown":        {id: "sub_x", covers: everywhere, kind: fault.NotFound, words: "no such subscription"},
		"foreign":        {covers: func(c string) bool { return c == "2" }, kind: fault.NotFound, words: "no such subscription"},
		"a secret of v1": {rotation: Rotation{Secret: secret.New("whsec_x")}, covers: everywhere, kind: fault.Invalid, words: "secret: must be whsec_"},
		"a secret of v1a": {
			rotation: Rotation{Scheme: registry.SchemeV1a, Secret: given}, covers: everywhere,
			kind: fault.Invalid, words: "secret: must be left out",
		},
		"the vault is down": {
			change: func(w *world) { w.vault.failing["webhook"] = fault.New(fault.Unavailable, "down") }, covers: everywhere,
			kind: fault.Unavailable, words: "down",
		},
		"the registry refuses": {
			change: func(w *world) { w.store.refuses = fault.New(fault.Unavailable, "another call") }, covers: everywhere,
			kind: fault.Unavailable, words: "another call",
		},
		"etcd is down": {
			change: func(w *world) { w.cluster.err = errors.New("down") }, covers: everywhere,
			kind: fault.Unavailable, words: "the change is stored",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, a := subscribed(t, nil)
			if tt.change != nil {
				tt.change(w)
			}
			if tt.id != "" {
				a.ID = tt.id
			}
			keys, _, err := w.Rotate(t.Context(), a.ID, tt.rotation, tt.covers)
			if fault.KindOf(err) != tt.kind || !strings.Contains(err.Error(), tt.words) || keys != (Keys{}) {
				t.Errorf("got %+v, %v", keys, err)
			}
		})
	}
}
