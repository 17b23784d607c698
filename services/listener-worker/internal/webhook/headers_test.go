// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package webhook_test

import (
	"net/http"
	"strings"
	"testing"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"mailpush.internal/pkg/endpoint"
	"mailpush.internal/pkg/secret"
	"mailpush.internal/services/listener-worker/internal/transport"
	"mailpush.internal/services/listener-worker/internal/webhook"
)

// carrying is a push with headers for its own origin.
func carrying(url string, pairs ...string) transport.Push {
	out := push(url)
	out.Headers = &transport.Headers{Origin: endpoint.Origin(url)}
	for n := 0; n < len(pairs); n += 2 {
		out.Headers.List = append(out.Headers.List, transport.Header{Name: pairs[n], Value: secret.New(pairs[n+1])})
	}
	return out
}

func TestEveryKindOfPushCarriesTheHeaders(t *testing.T) {
	t.Parallel()
	url, requests := record(t)
	sender := client(t, webhook.Config{})
	for _, purpose := range []transport.Purpose{transport.Announce, transport.Ask, transport.Try} {
		p := carrying(url+"/path", "Authorization", "Bearer t", "X-Api-Key", "a b", "User-Agent", "theirs")
		p.Purpose = purpose
		if result := sender.Send(t.Context(), p); result.Class != transport.OK {
			t.Fatalf("purpose %d: %+v", purpose, result)
		}
		got := (<-requests).header
		for name, want := range map[string]string{
			"Authorization": "Bearer t", "X-Api-Key": "a b", "User-Agent": "theirs", "Content-Type": "application/json",
		} {
			if values := got.Values(name); len(values) != 1 || values[0] != want {
				t.Errorf("purpose %d: %s is %q, want %q", purpose, name, values, want)
			}
		}
	}
}

// What was stored cannot take the place of what is ours, whoever has stored it.
func TestOurHeadersStay(t *testing.T) {
	t.Parallel()
	url, requests := record(t)
	p := carrying(url, "Content-Type", "text/html", "Webhook-Id", "x", "Webhook-Signature", "v1,x", "Host", "inside.example", "Content-Length", "1")
	if result := client(t, webhook.Config{}).Send(t.Context(), p); result.Class != transport.OK {
		t.Fatalf("result %+v", result)
	}
	got := <-requests
	verifier, err := standardwebhooks.NewWebhook(key)
	if err != nil {
		t.Fatal(err)
	}
	if err := verifier.Verify(got.body, got.header); err != nil || got.header.Get("Content-Type") != "application/json" {
		t.Errorf("headers %v, %v", got.header, err)
	}
}

func TestHeadersGoToNoOtherOrigin(t *testing.T) {
	t.Parallel()
	other, atOther := record(t)
	moved := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other, http.StatusTemporaryRedirect) })
	sender := client(t, webhook.Config{})
	if result := sender.Send(t.Context(), carrying(moved, "X-Key", "hidden")); result.Class != transport.Misconfigured || len(atOther) != 0 {
		t.Errorf("a redirect: %+v, %d requests elsewhere", result, len(atOther))
	}
	p := carrying(moved, "X-Key", "hidden")
	p.Target.Address = other // somebody has moved the subscription
	if result := sender.Send(t.Context(), p); result.Class != transport.OK {
		t.Errorf("result %+v", result)
	}
	if got := (<-atOther).header; got.Get("X-Key") != "" {
		t.Errorf("another origin has got %v", got)
	}
	// Another way to write the same one.
	p = carrying(other, "X-Key", "k")
	p.Target.Address = strings.Replace(other, "http", "HTTP", 1) + "/other?path"
	if sender.Send(t.Context(), p); (<-atOther).header.Get("X-Key") != "k" {
		t.Error("the headers are missing at their own origin")
	}
}

func TestResultsHoldNoHeader(t *testing.T) {
	t.Parallel()
	refuses := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, r.Header.Get("X-Key"), http.StatusUnauthorized)
	})
	sender := client(t, webhook.Config{})
	for url, class := range map[string]transport.Class{refuses: transport.Auth, "http://127.0.0.1:1": transport.Retry} {
		result := sender.Send(t.Context(), carrying(url, "X-Key", "hidden"))
		if result.Class != class || strings.Contains(result.Detail, "hidden") {
			t.Errorf("result %+v", result)
		}
	}
	// A value that cannot be sent, by whomever it was stored.
	result := sender.Send(t.Context(), carrying(refuses, "X-Key", "hidden\r\nX-Other: y"))
	if result.Class == transport.OK || strings.Contains(result.Detail, "hidden") {
		t.Errorf("a line break: %+v", result)
	}
}
