// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package endpoint_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"mailpush.internal/pkg/endpoint"
)

func TestHeadersThatMayBeSent(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]string{
		"Authorization": "Bearer abc.def-_~+/=", "authorization": "x", "X-Api-Key": "k", "Cookie": "a=b; c=d", "X_Under": "1",
		"User-Agent": "ours", "X-Hook": "a\tb", "Contents": "x", "Webhooks": "x", "Hosts": "x", "X-Content-Type": "x",
		strings.Repeat("n", endpoint.MaxHeaderName): strings.Repeat("v", endpoint.MaxHeaderValue),
	} {
		if err := endpoint.CheckHeader(name, value); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestHeadersThatMayNotBeSent(t *testing.T) {
	t.Parallel()
	const hidden = "hidden-value"
	names := map[string]string{
		"": "has no name", strings.Repeat("n", endpoint.MaxHeaderName+1): "has a name of more than 64 bytes",
		"X Space": "no name", "X:": "no name", "X\r\nY": "no name", "Grüße": "no name", "X\x00": "no name", "(x)": "no name", " X": "no name",
		"Host": "host of the URL", "HOST": "host of the URL", "connection": "the connection", "Keep-Alive": "the connection",
		"proxy-authorization": "the connection", "Proxy-Connection": "the connection", "TE": "the connection", "Trailer": "the connection",
		"transfer-encoding": "the connection", "UPGRADE": "the connection", "http2-settings": "the connection",
		"Content-Type": "the body", "content-length": "the body", "Content-": "the body",
		"webhook-id": "the signature", "Webhook-Signature": "the signature", "WEBHOOK-TIMESTAMP": "the signature", "webhook-x": "the signature",
		"Expect": "how a push is answered", "accept-encoding": "how a push is answered",
	}
	for name, want := range names {
		if err := endpoint.CheckHeader(name, hidden); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), hidden) {
			t.Errorf("%q: got %v, want %q", name, err, want)
		}
	}
	for value, want := range map[string]string{
		"": "must not be empty", "hidden\r\nHost: inside": "line break", "hidden\n": "line break", "hidden\r": "line break",
		" hidden": "a space", "hidden\t": "a space", "hidden\x00": "control", "hidden\x7f": "control", "hidden\u0085x": "must be ASCII",
		"hiddengrüße": "must be ASCII", "hidden\xff": "must be ASCII", strings.Repeat("hidden", 1000): "at most 4096 bytes",
	} {
		if err := endpoint.CheckHeader("X-Key", value); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%.40q: got %v, want %q", value, err, want)
		}
	}
}

// FuzzCheckHeader sends what is allowed: it arrives as it is, and alone.
func FuzzCheckHeader(f *testing.F) {
	for _, name := range []string{"Authorization", "x-api-key", "Host", "X\r\nY", "content-x", "Te"} {
		f.Add(name, "Bearer x")
	}
	f.Add("X-Key", "a\r\nb")
	f.Add("X-Key", "grüße ")
	arrived := make(chan http.Header, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { arrived <- r.Header }))
	f.Cleanup(server.Close)
	f.Fuzz(func(t *testing.T, name, value string) {
		if endpoint.CheckHeader(name, value) != nil {
			return
		}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set(name, value)
		response, err := server.Client().Do(request)
		if err != nil {
			t.Fatalf("%q: %q cannot be sent: %v", name, value, err)
		}
		if err := response.Body.Close(); err != nil {
			t.Error(err)
		}
		got := <-arrived
		if values := got.Values(name); len(values) != 1 || values[0] != value {
			t.Errorf("%q: %q arrives as %q", name, value, values)
		}
	})
}
