// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package service_test

import (
	"context"
	"errors"
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
