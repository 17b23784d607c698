// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// receiver is a webhook endpoint that remembers what it got.
type receiver struct {
	url      string
	requests atomic.Int64
	pushes   chan push
}

type push struct {
	header http.Header
	body   []byte
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{pushes: make(chan push, 100)}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		r.requests.Add(1)
		body, err := io.ReadAll(request.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		r.pushes <- push{header: request.Header, body: body}
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(server.Close)
	r.url = server.URL + "/push"
	return r
}

func (r *receiver) count() int { return int(r.requests.Load()) }

// next waits for one request, which must be signed.
func (r *receiver) next(t *testing.T, secret, what string) push {
	t.Helper()
	var got push
	select {
	case got = <-r.pushes:
	case <-time.After(pushTimeout):
		t.Fatalf("no %s", what)
	}
	webhook, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	if err := webhook.Verify(got.body, got.header); err != nil {
		t.Errorf("the %s is not signed as it should be: %v", what, err)
	}
	return got
}

// expectPing waits for the question whether the endpoint wants pushes.
func (r *receiver) expectPing(t *testing.T, secret string) {
	t.Helper()
	var body struct {
		Type string
		Data struct{ Challenge string }
	}
	got := r.next(t, secret, "ping")
	if err := json.Unmarshal(got.body, &body); err != nil || body.Type != "ping" || body.Data.Challenge == "" {
		t.Fatalf("the first request is %s, %v", got.body, err)
	}
}

// expect waits for one push, which must carry exactly the mail with the given subject.
func (r *receiver) expect(t *testing.T, secret, subject string) {
	t.Helper()
	got := r.next(t, secret, "push for the mail "+subject)
	var body struct {
		Type string
		Data struct {
			ContextID, UserID, Folder string
			Count                     int
			Events                    []struct{ ID, From, Subject string }
		}
	}
	if err := json.Unmarshal(got.body, &body); err != nil {
		t.Fatalf("reading the push %s: %v", got.body, err)
	}
	data := body.Data
	if body.Type != "mail:new" || data.ContextID != "1" || data.UserID != "249" || data.Folder != "INBOX" ||
		data.Count != 1 || len(data.Events) != 1 || data.Events[0].Subject != subject || data.Events[0].ID == "" {
		t.Errorf("the push for %q is %s", subject, got.body)
	}
}
