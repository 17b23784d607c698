// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// patience is how long a test waits for what must come.
const patience = time.Minute

// start serves h under limits until the test ends, and returns the address.
func start(t *testing.T, limits limits, config *tls.Config, h http.Handler) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx, slog.New(slog.DiscardHandler), l, config, h, limits) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

// over makes a client of one version of HTTP, in clear text.
func over(t *testing.T, version int) *http.Client {
	t.Helper()
	protocols := new(http.Protocols)
	protocols.SetHTTP1(version == 1)
	protocols.SetUnencryptedHTTP2(version == 2)
	transport := &http.Transport{Protocols: protocols}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience}
}

// A body that does not end is not waited for, in either version of HTTP.
func TestServeEndsABodyThatDoesNotCome(t *testing.T) {
	t.Parallel()
	for _, version := range []int{1, 2} {
		read := make(chan error, 1)
		address := start(t, limits{connections: 8, header: patience, body: 50 * time.Millisecond}, nil,
			http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				_, err := io.ReadAll(r.Body)
				read <- err
			}))
		body, sender := io.Pipe()
		go func() {
			for { // a byte now and then, until nobody takes it
				if _, err := sender.Write([]byte("a")); err != nil {
					return
				}
				select {
				case <-time.After(time.Millisecond):
				case <-t.Context().Done():
				}
			}
		}()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address, body)
		if err != nil {
			t.Fatal(err)
		}
		if response, err := over(t, version).Do(request); err == nil {
			_ = response.Body.Close()
		}
		_ = sender.Close()
		if err := <-read; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("HTTP/%d: the body was read with %v", version, err)
		}
	}
}

// A call that has come in whole may take longer than its body might have.
func TestServeLetsACallTakeItsTime(t *testing.T) {
	t.Parallel()
	const within = 3 * time.Second // for two short writes, on a machine that is busy
	address := start(t, limits{connections: 8, header: patience, body: within}, nil,
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			passed := time.After(within + within/10) // the time that must not matter
			body, err := io.ReadAll(r.Body)
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			select {
			case <-passed:
				_, _ = fmt.Fprintf(w, "read %q", body)
			case <-r.Context().Done():
			}
		}))
	for _, version := range []int{1, 2} {
		for _, parts := range [][]string{nil, {"in ", "parts"}} {
			t.Run(fmt.Sprintf("HTTP %d, %d parts", version, len(parts)), func(t *testing.T) {
				t.Parallel()
				var sent io.Reader
				if len(parts) > 0 {
					body, sender := io.Pipe()
					go func() {
						for _, part := range parts {
							_, _ = sender.Write([]byte(part))
						}
						_ = sender.Close()
					}()
					sent = body
				}
				request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address, sent)
				if err != nil {
					t.Fatal(err)
				}
				response, err := over(t, version).Do(request)
				if err != nil {
					t.Fatal(err)
				}
				defer response.Body.Close()
				answer, err := io.ReadAll(response.Body)
				if want := fmt.Sprintf("read %q", strings.Join(parts, "")); err != nil || string(answer) != want {
					t.Errorf("answered %q, want %q, %v", answer, want, err)
				}
			})
		}
	}
}
