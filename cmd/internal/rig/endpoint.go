// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
)

// Endpoint accepts every push and every ping and looks at none.
type Endpoint struct {
	URL    string
	server *http.Server
}

// NewEndpoint starts one on a free loopback port.
func NewEndpoint(ctx context.Context) (*Endpoint, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("starting a webhook endpoint: %w", err)
	}
	e := &Endpoint{URL: "http://" + listener.Addr().String()}
	e.server = &http.Server{ReadHeaderTimeout: startTimeout, Handler: http.HandlerFunc(accept)}
	go func() { _ = e.server.Serve(listener) }() // ends with Close
	return e, nil
}

func accept(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body) // so that the connection can be used again
	w.WriteHeader(http.StatusNoContent)
}

// Close ends it.
func (e *Endpoint) Close() error { return e.server.Close() }
