// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"testing"
	"time"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/pkg/secret"
	"mailpush.internal/services/admin-api/internal/registry"
)

// An application that subscribes at each start goes on with what its receiver knows.
func TestSubscribeAgainKeepsTheSecret(t *testing.T) {
	t.Parallel()
	given := newKeys(registry.SchemeV1, secret.String{}).Made
	v1, v1a := registry.SchemeV1, registry.SchemeV1a
	for name, tt := range map[string]struct {
		first, asked registry.Scheme
		secret       secret.String
		change       func(*world, *Request)
		stays        bool
		scheme       registry.Scheme // afterwards
	}{
		"v1":                         {first: "", asked: "", stays: true, scheme: v1},
		"v1, said":                   {first: v1, asked: v1, stays: true, scheme: v1},
		"v1a, said":                  {first: v1a, asked: v1a, stays: true, scheme: v1a},
		"v1a, not said again":        {first: v1a, asked: "", stays: true, scheme: v1a},
		"v1, then v1a":               {first: v1, asked: v1a, scheme: v1a},
		"v1a, then v1":               {first: v1a, asked: v1, scheme: v1},
		"another one is given":       {first: "", asked: "", secret: given, scheme: v1},
		"one of v1 is given for v1a": {first: v1a, asked: "", secret: given, scheme: v1},
		"another URL": {
			change: func(_ *world, r *Request) { r.Target.Address = "https://other.example/" }, stays: true, scheme: v1,
		},
		"the vault has lost it":       {change: func(w *world, _ *Request) { clear(w.vault.sealed) }, scheme: v1},
		"the vault has lost it, v1a":  {first: v1a, change: func(w *world, _ *Request) { clear(w.vault.sealed) }, scheme: v1a},
		"without a login, as it were": {change: func(_ *world, r *Request) { r.Account = nil }, stays: true, scheme: v1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, a := subscribed(t, func(r *Request) { r.Scheme = tt.first })
			before, was := w.secret(t, a.ID), w.store.subs[0].Signing
			r := request()
			r.Scheme, r.Secret = tt.asked, tt.secret
			if tt.change != nil {
				tt.change(w, &r)
			}
			b, err := w.Subscribe(t.Context(), r)
			if err != nil || b.ID != a.ID {
				t.Fatalf("got %+v, %v", b, err)
			}
			now, signing := w.secret(t, a.ID), w.store.subs[0].Signing
			if stays := signing == was; stays != tt.stays || stays && (now != before || !b.Keys.Made.IsZero() || b.Keys.Public != "") {
				t.Errorf("signing %+v, was %+v; answered %+v", signing, was, b.Keys)
			}
			if made := tt.secret.IsZero() && !tt.stays; made && b.Keys.Made.IsZero() && b.Keys.Public == "" || now == "" || signing.Scheme != tt.scheme {
				t.Errorf("scheme %q, answered %+v", signing.Scheme, b.Keys)
			}
		})
	}
}

func TestSubscribeAgainLeavesARotationUnderWay(t *testing.T) {
	t.Parallel()
	w, a := subscribed(t, nil)
	if _, _, err := w.Rotate(t.Context(), a.ID, Rotation{Scheme: registry.SchemeV1, Overlap: time.Hour}, everywhere); err != nil {
		t.Fatal(err)
	}
	was := w.store.subs[0].Signing
	if b, err := w.Subscribe(t.Context(), request()); err != nil || w.store.subs[0].Signing != was || !b.Keys.Made.IsZero() {
		t.Errorf("signing %+v, was %+v, %v", w.store.subs[0].Signing, was, err)
	}
}

func TestSubscribeAgainNeedsTheVaultToKeepAnything(t *testing.T) {
	t.Parallel()
	w, _ := subscribed(t, nil)
	w.vault.failing["has"] = fault.New(fault.Unavailable, "down")
	if _, err := w.Subscribe(t.Context(), request()); fault.KindOf(err) != fault.Unavailable || len(w.vault.sealed) != 2 {
		t.Errorf("got %v, vault %v", err, w.vault.sealed)
	}
}
