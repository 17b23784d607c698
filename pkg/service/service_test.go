// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package service_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"mailpush.internal/pkg/service"
)

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func TestOpsHandlerTellsReadiness(t *testing.T) {
	t.Parallel()
	var fault error
	rt := service.Runtime{Metrics: prometheus.NewRegistry()}
	rt.Metrics.MustRegister(prometheus.NewGauge(prometheus.GaugeOpts{Name: "mailpush_test"}))
	server := httptest.NewServer(service.OpsHandler(rt, func(context.Context) error { return fault }, "a.v1.Service"))
	t.Cleanup(server.Close)

	if code, _ := get(t, server.URL+"/healthz"); code != http.StatusOK {
		t.Errorf("/healthz: %d", code)
	}
	if code, _ := get(t, server.URL+"/readyz"); code != http.StatusOK {
		t.Errorf("/readyz: %d", code)
	}
	fault = errors.New("no database")
	if code, body := get(t, server.URL+"/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "no database") {
		t.Errorf("/readyz while not ready: %d %s", code, body)
	}
	if _, body := get(t, server.URL+"/metrics"); !strings.Contains(body, "mailpush_test 0") {
		t.Errorf("/metrics lacks the gauge: %s", body)
	}
}

// Anybody may ask for health: a little that becomes much is not unpacked.
func TestHealthIsBounded(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	service.MountHealth(mux, func(context.Context) error { return nil }, "a")
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	var bomb bytes.Buffer
	packer := gzip.NewWriter(&bomb)
	for range 8 {
		if _, err := packer.Write(make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
	}
	if err := packer.Close(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		body, encoding string
		status         int
	}{
		"a question":      {`{"service":"a"}`, "", http.StatusOK},
		"a bomb":          {bomb.String(), "gzip", http.StatusNotImplemented},
		"a long question": {`{"service":"` + strings.Repeat("a", 1<<20) + `"}`, "", http.StatusTooManyRequests},
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/grpc.health.v1.Health/Check", strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/json")
		if c.encoding != "" {
			request.Header.Set("Content-Encoding", c.encoding)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		if _ = response.Body.Close(); response.StatusCode != c.status {
			t.Errorf("%s: %d, want %d", name, response.StatusCode, c.status)
		}
	}
}

// What a service can do is told to operators, and not to whoever reaches a public port.
func TestReflectionIsForOperators(t *testing.T) {
	t.Parallel()
	ready := func(context.Context) error { return nil }
	public := http.NewServeMux()
	service.MountHealth(public, ready, "a")
	ops := service.OpsHandler(service.Runtime{Metrics: prometheus.NewRegistry()}, ready, "a")
	for _, path := range []string{"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"} {
		for _, c := range []struct {
			name    string
			handler http.Handler
			there   bool
		}{{"public", public, false}, {"ops", ops, true}} {
			answer := httptest.NewRecorder()
			c.handler.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, nil))
			if there := answer.Code != http.StatusNotFound; there != c.there {
				t.Errorf("%s: %s answers with %d", c.name, path, answer.Code)
			}
		}
	}
}

func TestServeFinishesRunningRequests(t *testing.T) {
	t.Parallel()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	started, release := make(chan struct{}), make(chan struct{})
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(started)
		<-release
		_, _ = io.WriteString(w, "done")
	})
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- service.Serve(ctx, slog.New(slog.DiscardHandler), "test", l, nil, handler) }()

	answered := make(chan string, 1)
	go func() {
		response, err := http.Get("http://" + l.Addr().String())
		if err != nil {
			answered <- err.Error()
			return
		}
		defer response.Body.Close()
		body, _ := io.ReadAll(response.Body)
		answered <- string(body)
	}()
	<-started
	stop()
	close(release)
	if got := <-answered; got != "done" {
		t.Errorf("the running request got %q", got)
	}
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
}

// A caller that doubles a slash is served, and not sent elsewhere: none follows who posts.
func TestServeRedirectsNoDoubleSlash(t *testing.T) {
	t.Parallel()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /a.v1.Service/Call", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { http.Error(w, r.URL.Path, http.StatusNotFound) })
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- service.Serve(ctx, slog.New(slog.DiscardHandler), "test", l, nil, mux) }()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for path, want := range map[string]string{
		"/a.v1.Service/Call": "200 body", "//a.v1.Service/Call": "200 body", "/a.v1.Service//Call": "200 body", "/x/../a.v1.Service/./Call": "200 body",
		"//a.v1.Service/Call/": "404 /a.v1.Service/Call/\n", "//": "404 /\n", "/%2Fa.v1.Service/Call": "200 body", "/x%2F/y": "404 /x/y\n",
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+l.Addr().String()+path, strings.NewReader("body"))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if got := fmt.Sprintf("%d %s", answer.StatusCode, body); err != nil || got != want {
			t.Errorf("%s: %q, want %q, %v", path, got, want, err)
		}
	}
	client.CloseIdleConnections()
	stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func TestGroupReturnsTheFirstErrorAfterAllEnded(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	ended := false
	err := service.Group(t.Context(),
		func(context.Context) error { return boom },
		func(ctx context.Context) error { <-ctx.Done(); ended = true; return nil },
	)
	if !errors.Is(err, boom) || !ended {
		t.Errorf("Group: %v, other ended %v", err, ended)
	}
}

// A connection that was accepted before the stop and whose request comes after it is
// answered: whoever connects to a socket that another process takes over loses nothing.
func TestServeAnswersWhomItHasAccepted(t *testing.T) {
	t.Parallel()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() {
		served <- service.Serve(ctx, slog.New(slog.DiscardHandler), "test", l, nil, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "done")
		}))
	}()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	get(t, "http://"+l.Addr().String()) // by another connection: the first has been accepted, then
	stop()
	for { // until nobody is accepted any more
		other, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", l.Addr().String())
		if err != nil {
			break
		}
		_ = other.Close()
	}
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil || !strings.HasSuffix(string(answer), "done") {
		t.Errorf("answered %q, %v", answer, err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}
