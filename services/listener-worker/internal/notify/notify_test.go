// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package notify_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"mailpush.internal/pkg/secret"
	"mailpush.internal/services/listener-worker/internal/hints"
	"mailpush.internal/services/listener-worker/internal/notify"
)

const sample = `{"user":"3@1","event":"messageNew","folder":"INBOX","imap-uidvalidity":7,"imap-uid":12,"from":"a@b.c","subject":"hello","unseen":1}`

// world is an endpoint with a server.
type world struct {
	server  *httptest.Server
	metrics *prometheus.Registry
	hints   chan hints.Hint
}

func serve(t *testing.T) *world {
	t.Helper()
	w := &world{metrics: prometheus.NewRegistry(), hints: make(chan hints.Hint, 100)}
	endpoint := notify.New(notify.Config{
		Metrics: w.metrics, Backend: "dovecot",
		Login: func() notify.Login { return notify.Login{Name: "dove", Password: secret.New("s3cret")} },
		Take: func(_ context.Context, hint hints.Hint) hints.Result {
			w.hints <- hint
			return hints.Kept
		},
	})
	w.server = httptest.NewServer(endpoint.Handler())
	t.Cleanup(w.server.Close)
	return w
}

func (w *world) request(t *testing.T, method, path, name, password, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, w.server.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if name != "" {
		r.SetBasicAuth(name, password)
	}
	answer, err := w.server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, strings.TrimSpace(string(text))
}

func (w *world) put(t *testing.T, body string) (int, string) {
	t.Helper()
	return w.request(t, http.MethodPut, notify.Path, "dove", "s3cret", body)
}

// count is how many requests have come to a result.
func (w *world) count(t *testing.T, result string) int {
	t.Helper()
	families, err := w.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			if family.GetType() == dto.MetricType_COUNTER && metric.GetLabel()[0].GetValue() == result {
				return int(metric.GetCounter().GetValue())
			}
		}
	}
	return -1
}

func TestNotificationsAreAnswered(t *testing.T) {
	t.Parallel()
	w := serve(t)
	for _, c := range []struct {
		name, method, path, body string
		status                   int
		text, result             string
	}{
		{"as Dovecot sends it", "PUT", notify.Path, sample, 200, "remembered", "taken"},
		{"by POST", "POST", notify.Path, sample, 200, "remembered", "taken"},
		{"another folder", "PUT", notify.Path, strings.Replace(sample, "INBOX", "Trash", 1), 200, "ignored: only INBOX is watched", "other_folder"},
		{"another event", "PUT", notify.Path, strings.Replace(sample, "messageNew", "flagsSet", 1), 200, "ignored: only messageNew is heeded", "other_event"},
		{"malformed", "PUT", notify.Path, "{", 400, "the body is not JSON", "malformed"},
		{"nothing", "PUT", notify.Path, "", 400, "the body is not JSON", "malformed"},
		{"a megabyte", "PUT", notify.Path, `{"user":"` + strings.Repeat("x", 1<<20) + `"}`, 413, "a notification has 64 KiB at most", "too_large"},
		{"by another method", "GET", notify.Path, "", 405, "Method Not Allowed", ""},
		{"elsewhere", "PUT", "/", sample, 404, "404 page not found", ""},
	} {
		before := w.count(t, c.result)
		status, text := w.request(t, c.method, c.path, "dove", "s3cret", c.body)
		if status != c.status || text != c.text {
			t.Errorf("%s: %d %q, want %d %q", c.name, status, text, c.status, c.text)
		}
		if c.result != "" && w.count(t, c.result) != before+1 {
			t.Errorf("%s: is not counted as %s", c.name, c.result)
		}
	}
	for range 2 {
		if hint := <-w.hints; hint.Name != "3@1" || hint.Mail == nil || hint.Mail.Subject != "hello" || time.Since(hint.At) > time.Minute {
			t.Errorf("hint %+v", hint)
		}
	}
	if len(w.hints) > 0 {
		t.Errorf("%d more hints", len(w.hints))
	}
}

func TestWrongLoginsAreRefusedAndLimited(t *testing.T) {
	t.Parallel()
	w := serve(t)
	for i := range 20 {
		name, password := "dove", "wrong"
		switch i % 3 {
		case 1:
			name = ""
		case 2:
			name, password = "hawk", "s3cret"
		}
		want := http.StatusUnauthorized
		if i >= 10 {
			want = http.StatusTooManyRequests
		}
		if status, _ := w.request(t, http.MethodPut, notify.Path, name, password, sample); status != want {
			t.Errorf("wrong login %d is answered %d, want %d", i, status, want)
		}
	}
	if status, _ := w.put(t, sample); status != http.StatusTooManyRequests {
		t.Errorf("the next guess is answered %d", status)
	}
	if w.count(t, "unauthorized") != 10 || w.count(t, "limited") != 11 || len(w.hints) > 0 {
		t.Errorf("unauthorized %d, limited %d, %d hints", w.count(t, "unauthorized"), w.count(t, "limited"), len(w.hints))
	}
}

func TestWithoutAPasswordNobodyHasALogin(t *testing.T) {
	t.Parallel()
	endpoint := notify.New(notify.Config{Take: func(context.Context, hints.Hint) hints.Result {
		t.Error("it was taken")
		return hints.Local
	}})
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPut, notify.Path, strings.NewReader(sample))
	r.SetBasicAuth("", "")
	answer := httptest.NewRecorder()
	endpoint.ServeHTTP(answer, r)
	if answer.Code != http.StatusUnauthorized {
		t.Errorf("answered %d", answer.Code)
	}
	r.RemoteAddr, r.TLS = "192.0.2.1:9", &tls.ConnectionState{} // shows no certificate
	answer = httptest.NewRecorder()
	endpoint.ServeHTTP(answer, r)
	if answer.Code != http.StatusUnauthorized {
		t.Errorf("without a certificate answered %d", answer.Code)
	}
}

// A stranger's body is not waited for, and one that does not come in is answered.
func TestABodyIsNotReadBeforeTheLogin(t *testing.T) {
	t.Parallel()
	w := serve(t)
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", w.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "PUT %s HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n", notify.Path)
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusUnauthorized {
		t.Errorf("answered %d", answer.StatusCode)
	}
}
