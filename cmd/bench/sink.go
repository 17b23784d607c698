// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// sink is a webhook endpoint with one path per mailbox that notes when requests
// arrive.
type sink struct {
	url    string
	server *http.Server

	mu      sync.Mutex
	arrived map[string]chan time.Time
}

func newSink(ctx context.Context) (*sink, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("starting the webhook sink: %w", err)
	}
	s := &sink{url: "http://" + listener.Addr().String(), arrived: map[string]chan time.Time{}}
	s.server = &http.Server{Handler: s, ReadHeaderTimeout: pushTimeout}
	go func() { _ = s.server.Serve(listener) }() // ends with close
	return s, nil
}

// ServeHTTP implements [http.Handler].
func (s *sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	at := time.Now()
	// Only the arrival of a push counts. A ping is answered by the 204, too.
	if body, err := io.ReadAll(r.Body); err == nil && !bytes.HasPrefix(body, []byte(`{"type":"ping"`)) {
		s.box(strings.TrimPrefix(r.URL.Path, "/")) <- at
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *sink) box(name string) chan time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.arrived[name] == nil {
		s.arrived[name] = make(chan time.Time, 100)
	}
	return s.arrived[name]
}

func (s *sink) next(ctx context.Context, box string) (time.Time, error) {
	select {
	case at := <-s.box(box):
		return at, nil
	case <-time.After(pushTimeout):
		return time.Time{}, fmt.Errorf("no push came within %s", pushTimeout)
	case <-ctx.Done():
		return time.Time{}, ctx.Err()
	}
}

func (s *sink) close() { _ = s.server.Close() }
