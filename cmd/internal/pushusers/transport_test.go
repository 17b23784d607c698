// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pushusers

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
)

// A server that sends callers elsewhere does not send their password there.
func TestThePasswordFollowsNoRedirect(t *testing.T) {
	t.Parallel()
	var caught atomic.Int64
	thief := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { caught.Add(1) }))
	t.Cleanup(thief.Close)
	for _, code := range []int{http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
		front := httptest.NewServer(http.RedirectHandler(thief.URL+"/?token=hidden", code))
		t.Cleanup(front.Close)
		var said strings.Builder
		got := Run([]string{"-s", front.URL, "-P", "s3cret"}, "v1", strings.NewReader(""), io.Discard, &said)
		want := "pushusers: " + front.URL + " does not answer like a mailpush admin-api: it redirects to " + thief.URL + "\n"
		if got != exitServer || said.String() != want || caught.Load() != 0 {
			t.Errorf("%d: exit code %d, %d requests elsewhere, said %s", code, got, caught.Load(), said.String())
		}
	}
}

func TestThePasswordCrossesNoNetworkInClear(t *testing.T) {
	t.Parallel()
	for server, allowed := range map[string]bool{
		"http://localhost": true, "http://LOCALHOST:81": true, "http://localhost.": true, "http://127.1.2.3": true, "http://[::1]:81/x": true,
		"https://push.example.com": true, "http://push.example.com": false, "http://10.0.0.1": false, "http://localhost.example.com": false,
		"http://127.0.0.1.example.com": false, "http://[2001:db8::1]": false, "http://0.0.0.0": false, "HTTP://Push.Example.com": false,
	} {
		base, err := (&endpoint{server: server}).resolve(false)
		if err != nil {
			t.Fatalf("%s: %v", server, err)
		}
		if got := checkClear(base, false) == nil; got != allowed {
			t.Errorf("%s: allowed %t", server, got)
		}
		if err := checkClear(base, true); err != nil {
			t.Errorf("%s with --insecure: %v", server, err)
		}
	}
}

// A resolver may say that localhost is another machine.
func TestLocalhostIsThisMachine(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]bool{"127.0.0.1:80": true, "[::1]:80": true, "10.0.0.1:80": false, "[2001:db8::1]:80": false} {
		if got := onlyLoopback("tcp", address, nil) == nil; got != want {
			t.Errorf("%s: dialled %t", address, got)
		}
	}
}

func TestNoProxyToThisMachine(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://proxy.example.com:3128")
	for host, want := range map[string]string{
		"http://LOCALHOST:8080": "", "http://localhost.": "", "http://127.0.0.1": "", "http://[::1]": "", "http://other.example.com": "http://proxy.example.com:3128",
	} {
		to, err := url.Parse(host)
		if err != nil {
			t.Fatal(err)
		}
		proxy, err := proxyFor(&http.Request{URL: to})
		got := ""
		if proxy != nil {
			got = proxy.String()
		}
		if err != nil || got != want {
			t.Errorf("%s: by %q, %v", host, got, err)
		}
	}
}
