// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package webhook_test

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"mailpush.internal/services/listener-worker/internal/transport"
	"mailpush.internal/services/listener-worker/internal/webhook"
)

// What was never reached is told from what was reached and gave no answer, and from what
// was not asked at all: only the first is the origin's fault for sure.
func TestWhatWasNotReachedIsToldApart(t *testing.T) {
	t.Parallel()
	refuses, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = refuses.Close()
	drops := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
			_ = conn.Close()
		}
	})
	hangs := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // a server that has not read all sees nobody leave
		<-r.Context().Done()
	})
	wrongCertificate := httptest.NewUnstartedServer(http.NotFoundHandler())
	wrongCertificate.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	wrongCertificate.StartTLS()
	t.Cleanup(wrongCertificate.Close)
	speaksNoTLS := "https" + serve(t, func(http.ResponseWriter, *http.Request) {})[len("http"):]
	for name, c := range map[string]struct {
		url                   string
		class                 transport.Class
		unanswered, unreached bool
	}{
		"refused":             {"http://" + refuses.Addr().String() + "/", transport.Retry, true, true},
		"no such name":        {"http://nobody.example/", transport.Retry, true, true},
		"not allowed":         {"http://10.0.0.1/", transport.Misconfigured, true, true},
		"a wrong certificate": {wrongCertificate.URL, transport.Misconfigured, true, true},
		"no TLS":              {speaksNoTLS, transport.Retry, true, true},
		"dropped":             {drops, transport.Retry, true, false},
		"hanging":             {hangs, transport.Retry, true, false},
		"no URL":              {"http://h\n/", transport.Misconfigured, true, false},
		"404":                 {serve(t, http.NotFound), transport.Gone, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sender := client(t, webhook.Config{Timeout: time.Second, Resolver: nameServer(t, fixed())})
			got := sender.Send(t.Context(), push(c.url))
			if got.Class != c.class || got.Unanswered != c.unanswered || got.Unreached != c.unreached {
				t.Errorf("%+v, want %+v", got, c)
			}
		})
	}
}
