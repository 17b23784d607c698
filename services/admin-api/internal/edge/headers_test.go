// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/pkg/secret"
	"mailpush.internal/services/admin-api/internal/registry"
)

func headersOf(pairs ...string) map[string]secret.String {
	out := make(map[string]secret.String)
	for pair := range slices.Chunk(pairs, 2) {
		out[pair[0]] = secret.New(pair[1])
	}
	return out
}

func TestHeadersAreSealedForTheirOrigin(t *testing.T) {
	t.Parallel()
	w, a := subscribed(t, func(r *Request) { r.Headers = headersOf("x-api-key", "k", "Authorization", "Bearer t") })
	if got, want := w.headers(t, a.ID), "https://hook.example:443 Authorization=Bearer t X-Api-Key=k"; got != want {
		t.Errorf("sealed %q, want %q", got, want)
	}
	got := w.store.subs[0].Headers
	if !slices.Equal(got.Names, []string{"Authorization", "X-Api-Key"}) || got.Slot == 0 || got.Version == 0 || len(w.store.erasures) != 0 {
		t.Errorf("stored %+v, noted %v", got, w.store.erasures)
	}
}

func TestSubscribeAgainKeepsReplacesOrClearsHeaders(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(*world, *Request)
		want   string // sealed afterwards
		kind   fault.Kind
		words  string
	}{
		"not said":     {want: "https://hook.example:443 X-Key=k"},
		"an empty map": {change: func(_ *world, r *Request) { r.Headers = headersOf() }, want: "https://hook.example:443 X-Key=k"},
		"another path": {
			change: func(_ *world, r *Request) { r.Target.Address = "https://HOOK.example.:443/y" }, want: "https://hook.example:443 X-Key=k",
		},
		"others": {change: func(_ *world, r *Request) { r.Headers = headersOf("X-Other", "o") }, want: "https://hook.example:443 X-Other=o"},
		"none":   {change: func(_ *world, r *Request) { r.ClearHeaders = true }},
		"others for another origin": {
			change: func(_ *world, r *Request) {
				r.Headers, r.Target.Address = headersOf("X-Other", "o"), "https://other.example/"
			},
			want: "https://other.example:443 X-Other=o",
		},
		"none for another origin": {change: func(_ *world, r *Request) { r.ClearHeaders, r.Target.Address = true, "https://other.example/" }},
		"not said for another origin": {
			change: func(_ *world, r *Request) { r.Target.Address = "https://hook.example:8443/" }, want: "https://hook.example:443 X-Key=k",
			kind: fault.Invalid, words: "webhook.headers: those that there are were given for https://hook.example:443: give them again, or set webhook.clearHeaders",
		},
		"lost by the vault": {
			change: func(w *world, _ *Request) { clear(w.vault.sealed) },
			kind:   fault.Precondition, words: "webhook.headers: those that there were are not in the vault any more",
		},
		"lost by the vault, given again": {
			change: func(w *world, r *Request) { clear(w.vault.sealed); r.Headers = headersOf("X-Key", "k2") },
			want:   "https://hook.example:443 X-Key=k2",
		},
		"refused by a vault of before": {
			change: func(w *world, r *Request) {
				w.vault.failing["headers"], r.Headers = fault.New(fault.Invalid, "credential.kind: is required"), headersOf("X-Other", "o")
			},
			want: "https://hook.example:443 X-Key=k", kind: fault.Unavailable, words: "the credential vault cannot keep webhook.headers",
		},
		"the registry does not commit": {
			change: func(w *world, r *Request) {
				w.store.failing, r.Headers = fault.New(fault.Unavailable, "down"), headersOf("X-Other", "o")
			},
			want: "https://hook.example:443 X-Key=k", kind: fault.Unavailable, words: "down",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, a := subscribed(t, func(r *Request) { r.Headers = headersOf("x-key", "k") })
			was := w.store.subs[0].Headers
			r := request()
			if tt.change != nil {
				tt.change(w, &r)
			}
			_, err := w.Subscribe(t.Context(), r)
			if tt.words == "" && err != nil || tt.words != "" && (fault.KindOf(err) != tt.kind || !strings.HasPrefix(err.Error(), tt.words)) {
				t.Errorf("got %v", err)
			}
			if got := w.headers(t, a.ID); got != tt.want {
				t.Errorf("sealed %q, want %q", got, tt.want)
			}
			if err != nil || tt.want == "https://hook.example:443 X-Key=k" {
				if now := w.store.subs[0].Headers; now.Slot != was.Slot || now.Version != was.Version {
					t.Errorf("changed from %+v to %+v", was, now)
				}
				return
			}
			if now := w.store.subs[0].Headers; now.Version <= was.Version || (now.Slot == 0) != (tt.want == "") || len(now.Names) > 0 != (tt.want != "") {
				t.Errorf("changed from %+v to %+v", was, now)
			}
			// What was replaced leaves the vault, later.
			w.store.pass()
			if err := w.EraseNoted(t.Context()); err != nil {
				t.Error(err)
			}
			if left := w.vault.sealed[anna.String()+" "+registry.HeadersAccount(a.ID, was.Slot)]; left != "" {
				t.Errorf("%q is left", left)
			}
		})
	}
}

func TestHeadersLeaveTheVaultWithTheSubscription(t *testing.T) {
	t.Parallel()
	w, a := subscribed(t, func(r *Request) { r.Headers = headersOf("x-key", "k") })
	if err := w.Unsubscribe(t.Context(), a.ID, everywhere); err != nil || len(w.vault.sealed) != 0 {
		t.Errorf("left %v, %v", w.vault.sealed, err)
	}
}

func TestHeadersThatCannotBeSentAreRefusedByName(t *testing.T) {
	t.Parallel()
	many, large := headersOf(), headersOf()
	for i := range 17 {
		many[fmt.Sprint("X-", i)] = secret.New("hidden")
	}
	for i := range 2 {
		large[fmt.Sprint("X-", i)] = secret.New(strings.Repeat("hidden", 600))
	}
	long := strings.Repeat("n", 5000)
	for want, headers := range map[string]map[string]secret.String{
		`webhook.headers["Content-Type"]: must not be set: it is about the body, which is mailpush's`: headersOf("Content-Type", "hidden"),
		`webhook.headers["webhook-id"]: must not be set: it is of the signature`:                      headersOf("webhook-id", "hidden"),
		`webhook.headers["X-Key"]: must not hold a line break`:                                        headersOf("X-Key", "hidden\r\nHost: h", "X-Other", "fine"),
		`webhook.headers["X-Key"]: must be ASCII`:                                                     headersOf("X-Key", "hidden ü"),
		`webhook.headers["X-Key"]: must not be empty`:                                                 headersOf("X-Key", ""),
		`webhook.headers[""]: has no name`:                                                            headersOf("", "hidden"),
		`webhook.headers["a\r\nb"]: is no name of a header`:                                           headersOf("a\r\nb", "hidden"),
		`webhook.headers["` + long[:64] + `"]: has a name of more than 64 bytes`:                      headersOf(long, "hidden"),
		`webhook.headers["x-key"]: is the same header as "X-Key"`:                                     headersOf("X-Key", "hidden", "x-key", "hidden"),
		`webhook.headers: 17 headers: want at most 16`:                                                many,
		`webhook.headers: 7206 bytes in all: want at most 6144`:                                       large,
	} {
		w, r := newWorld(t), request()
		r.Headers = headers
		_, err := w.Subscribe(t.Context(), r)
		if fault.KindOf(err) != fault.Invalid || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "hidden") {
			t.Errorf("got %v, want %s", err, want)
		}
		if len(w.vault.sealed)+len(w.store.erasures) != 0 {
			t.Error("a refused request reached the vault")
		}
	}
	w, r := newWorld(t), request()
	r.Headers, r.ClearHeaders = headersOf("X-Key", "hidden"), true
	if _, err := w.Subscribe(t.Context(), r); fault.KindOf(err) != fault.Invalid || !strings.HasPrefix(err.Error(), "webhook.clearHeaders: must be left out") {
		t.Errorf("got %v", err)
	}
}
