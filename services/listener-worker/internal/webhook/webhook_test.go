// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package webhook_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"go.uber.org/goleak"

	"mailpush.internal/pkg/endpoint"
	"mailpush.internal/pkg/secret"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/mailbox"
	"mailpush.internal/services/listener-worker/internal/transport"
	"mailpush.internal/services/listener-worker/internal/webhook"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

func push(url string) transport.Push {
	return transport.Push{
		Subscription: "sub_1", Target: transport.Target{Kind: transport.Webhook, Address: url}, Secret: secret.New(key), Content: mailv1.Content_CONTENT_ENVELOPE,
		User: mailbox.User{Context: "1", ID: "249"}, Folder: "INBOX",
		Batch: transport.Batch{
			UIDValidity: 7, From: 11, Upto: 12, Count: 1, Unread: 3, Attempt: 1,
			Noticed: time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC),
			Mails: []mailbox.Mail{{
				UID: 12, From: "Anna <anna@example.org>", Subject: "Grüße & \"more\"", Size: 2048,
				ReceivedAt: time.Date(2026, 11, 1, 11, 59, 59, 0, time.FixedZone("", 3600)),
			}},
		},
	}
}

// client makes a client that is closed with the test. It reaches loopback unless the
// test says what it may reach.
func client(t *testing.T, cfg webhook.Config) *webhook.Client {
	t.Helper()
	if cfg.AllowPrivate == nil {
		cfg.AllowPrivate = prefixes("127.0.0.0/8", "::1/128")
	}
	cfg.Instance, cfg.AllowHTTP = "mailpush", true
	c := webhook.New(cfg)
	t.Cleanup(c.Close)
	return c
}

func prefixes(texts ...string) []netip.Prefix {
	out := make([]netip.Prefix, 0, len(texts))
	for _, text := range texts {
		out = append(out, netip.MustParsePrefix(text))
	}
	return out
}

// serve starts an endpoint that ends with the test.
func serve(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

type request struct {
	header http.Header
	body   []byte
}

// record answers 204 and hands on what came.
func record(t *testing.T) (string, <-chan request) {
	t.Helper()
	got := make(chan request, 16)
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- request{r.Header, body}
		w.WriteHeader(http.StatusNoContent)
	}), got
}

func TestThePublicLibraryVerifiesTheSignature(t *testing.T) {
	t.Parallel()
	url, requests := record(t)
	c := client(t, webhook.Config{})
	if result := c.Send(t.Context(), push(url)); result.Class != transport.OK {
		t.Fatalf("result %+v", result)
	}
	verifier, err := standardwebhooks.NewWebhook(key)
	if err != nil {
		t.Fatal(err)
	}
	got := <-requests
	if err := verifier.Verify(got.body, got.header); err != nil {
		t.Errorf("the library refuses the signature: %v", err)
	}
	if err := verifier.Verify(append(got.body, ' '), got.header); err == nil {
		t.Error("the library accepts a changed body")
	}
}

func TestBody(t *testing.T) {
	t.Parallel()
	url, requests := record(t)
	c := client(t, webhook.Config{})
	event := map[string]any{
		"id": transport.EventID("mailpush", "1", "249", "INBOX", 7, 12), "uid": 12.0, "from": "Anna <anna@example.org>",
		"subject": "Grüße & \"more\"", "receivedAt": "2026-11-01T10:59:59Z", "size": 2048.0,
	}
	data := func(events ...any) map[string]any {
		out := map[string]any{
			"contextId": "1", "userId": "249", "folder": "INBOX", "uidValidity": 7.0,
			"count": 1.0, "unread": 3.0, "cursor": 12.0,
		}
		if events != nil {
			out["events"] = events
		}
		return out
	}
	reset := push(url)
	reset.Batch.Reset, reset.Batch.Mails, reset.Batch.Count = true, nil, 0
	resetData := data()
	resetData["count"] = 0.0
	for _, c2 := range []struct {
		name    string
		push    transport.Push
		content mailv1.Content
		kind    string
		data    map[string]any
	}{
		{"envelope", push(url), mailv1.Content_CONTENT_ENVELOPE, "mail:new", data(event)},
		{"unspecified is envelope", push(url), mailv1.Content_CONTENT_UNSPECIFIED, "mail:new", data(event)},
		{"ids", push(url), mailv1.Content_CONTENT_IDS, "mail:new", data(map[string]any{"id": event["id"], "uid": 12.0})},
		{"state", push(url), mailv1.Content_CONTENT_STATE, "mail:new", data()},
		{"reset", reset, mailv1.Content_CONTENT_ENVELOPE, "mailbox:reset", resetData},
	} {
		c2.push.Content = c2.content
		if result := c.Send(t.Context(), c2.push); result.Class != transport.OK {
			t.Fatalf("%s: %+v", c2.name, result)
		}
		var got map[string]any
		if err := json.Unmarshal((<-requests).body, &got); err != nil {
			t.Fatal(err)
		}
		want := map[string]any{"type": c2.kind, "timestamp": "2026-11-01T12:00:00Z", "data": c2.data}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: body (-want +got):\n%s", c2.name, diff)
		}
	}
}

func TestEveryTryHasTheSameIDs(t *testing.T) {
	t.Parallel()
	url, requests := record(t)
	first, second := push(url), push(url)
	second.Batch.Attempt, second.Batch.Unread = 2, 9
	for _, p := range []transport.Push{first, second} {
		client(t, webhook.Config{}).Send(t.Context(), p)
	}
	a, b := <-requests, <-requests
	if id := a.header.Get("webhook-id"); id == "" || id != b.header.Get("webhook-id") {
		t.Errorf("webhook-id %q, then %q", id, b.header.Get("webhook-id"))
	}
}

func TestEndpointsThatMisbehave(t *testing.T) {
	t.Parallel()
	hang := func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		class   transport.Class
	}{
		"answers 500":             {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }, transport.Retry},
		"hangs before the answer": {hang, transport.Retry},
		"hangs up": {func(http.ResponseWriter, *http.Request) {
			panic(http.ErrAbortHandler)
		}, transport.Retry},
		"redirects": {func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/" {
				t.Error("the redirect was followed")
			}
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		}, transport.Misconfigured},
		"answers with endless headers": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Long", strings.Repeat("x", 1<<20))
		}, transport.Retry},
		"hangs inside an accepted answer": {func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
			hang(w, r)
		}, transport.OK},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sender := client(t, webhook.Config{Timeout: 500 * time.Millisecond})
			result := sender.Send(t.Context(), push(serve(t, c.handler)))
			if result.Class != c.class {
				t.Errorf("result %+v, want class %v", result, c.class)
			}
		})
	}
}

// An answer of 1 GB is cut off after 64 KiB, with its connection; the status counts.
func TestAnswerOfAGigabyteCostsBoundedMemory(t *testing.T) {
	t.Parallel()
	const gigabyte = 1 << 30
	var written atomic.Int64
	cut := make(chan struct{})
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		defer close(cut)
		w.WriteHeader(http.StatusInternalServerError)
		block := make([]byte, 64<<10)
		for written.Load() < gigabyte {
			n, err := w.Write(block)
			written.Add(int64(n))
			if err != nil {
				return
			}
		}
	})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	result := client(t, webhook.Config{}).Send(t.Context(), push(url))
	runtime.ReadMemStats(&after)
	<-cut
	if result.Class != transport.Retry {
		t.Errorf("result %+v", result)
	}
	if got := written.Load(); got >= gigabyte/10 {
		t.Errorf("the endpoint could send %d bytes", got)
	}
	// Other tests of the package allocate at the same time, but nowhere near this.
	if got := after.TotalAlloc - before.TotalAlloc; got > 64<<20 {
		t.Errorf("%d bytes were allocated for one answer", got)
	}
}

func TestURLs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		url       string
		allowHTTP bool
		ok        bool
	}{
		{"https://example.org/hook?x=1", false, true},
		{"http://example.org/hook", false, false},
		{"http://example.org/hook", true, true},
		{"https://user:pw@example.org/", true, false},
		{"ftp://example.org/", true, false},
		{"https:///hook", true, false},
		{"https://:443/hook", true, false},
		{"example.org", true, false},
		{"https://exa mple.org", true, false},
		{"", true, false},
	} {
		err := endpoint.CheckURL(c.url, c.allowHTTP)
		if (err == nil) != c.ok {
			t.Errorf("CheckURL(%q, %v) = %v, want ok %v", c.url, c.allowHTTP, err, c.ok)
		}
	}
	insecure := webhook.New(webhook.Config{})
	if result := insecure.Send(t.Context(), push("http://127.0.0.1:1/")); result.Class != transport.Misconfigured {
		t.Errorf("http without leave: %+v", result)
	}
}

func TestCertificates(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	roots := server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs //nolint:errcheck // a panic is a failure
	if result := client(t, webhook.Config{RootCAs: roots}).Send(t.Context(), push(server.URL)); result.Class != transport.OK {
		t.Errorf("a known authority: %+v", result)
	}
	if result := client(t, webhook.Config{}).Send(t.Context(), push(server.URL)); result.Class != transport.Misconfigured {
		t.Errorf("an unknown authority: %+v", result)
	}
}

func TestResultsHoldNoSecret(t *testing.T) {
	t.Parallel()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close()
	bad := push("http://" + address + "/?token=hidden")
	for _, c := range []struct {
		secret string
		class  transport.Class
	}{{key, transport.Retry}, {"whsec_hidden!", transport.Misconfigured}, {"hidden", transport.Misconfigured}} {
		bad.Secret = secret.New(c.secret)
		result := client(t, webhook.Config{}).Send(t.Context(), bad)
		if result.Class != c.class || strings.Contains(result.Detail, "hidden") {
			t.Errorf("result %+v, want class %v without secrets", result, c.class)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if result := client(t, webhook.Config{}).Send(ctx, push("http://"+address)); result.Class != transport.Retry {
		t.Errorf("a cancelled try: %+v", result)
	}
}
