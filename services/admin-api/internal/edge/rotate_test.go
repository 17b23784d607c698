// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"crypto/ed25519"
	"encoding/base64"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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

func TestRotateLeavesTheSecretBeforeInForce(t *testing.T) {
	t.Parallel()
	w, a := subscribed(t, func(r *Request) { r.Scheme = registry.SchemeV1a })
	first, old := w.secret(t, a.ID), w.store.subs[0].Signing
	if !verifies(t, first, a.Keys.Public) || !a.Keys.Made.IsZero() {
		t.Errorf("the key pair does not fit, or the private key is shown: %+v", a.Keys)
	}
	began := time.Now()
	keys, until, err := w.Rotate(t.Context(), a.ID, Rotation{Scheme: registry.SchemeV1, Overlap: time.Hour}, everywhere)
	if err != nil || until.Before(began.Add(time.Hour)) || until.After(time.Now().Add(time.Hour)) {
		t.Fatalf("until %v, error %v", until, err)
	}
	got := w.store.subs[0].Signing
	if w.vault.sealed["249@1 "+registry.WebhookAccount(a.ID, got.PreviousSlot)] != first || w.secret(t, a.ID) != keys.Made.Reveal() {
		t.Error("one of the two secrets is not where the registry says")
	}
	want := registry.Signing{
		Scheme: registry.SchemeV1, Version: w.vault.version, Slot: got.Slot, PreviousUntil: until, PreviousSlot: old.Slot,
	}
	if got != want || got.Slot == old.Slot || !slices.Equal(w.cluster.touched, []registry.Shard{idle(registry.ShardOf(anna, 4))}) {
		t.Errorf("stored %+v, touched %v", got, w.cluster.touched)
	}
	keys, _, err = w.Rotate(t.Context(), a.ID, Rotation{Scheme: registry.SchemeV1}, everywhere)
	if fault.KindOf(err) != fault.Precondition || !keys.Made.IsZero() || !strings.Contains(err.Error(), until.UTC().Format(time.RFC3339)) {
		t.Errorf("during the overlap: %v", err)
	}
	w.store.subs[0].Signing.PreviousUntil = began
	keys, _, err = w.Rotate(t.Context(), a.ID, Rotation{Scheme: registry.SchemeV1a}, everywhere)
	if err != nil || !verifies(t, w.secret(t, a.ID), keys.Public) {
		t.Errorf("again: %+v, %v", w.store.subs[0].Signing, err)
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
			before := maps.Clone(w.vault.sealed)
			keys, _, err := w.Rotate(t.Context(), a.ID, tt.rotation, tt.covers)
			if fault.KindOf(err) != tt.kind || !strings.Contains(err.Error(), tt.words) || keys != (Keys{}) {
				t.Errorf("got %+v, %v", keys, err)
			}
			if diff := cmp.Diff(before, w.vault.sealed); diff != "" {
				t.Errorf("vault (-want +got):\n%s", diff)
			}
		})
	}
}
