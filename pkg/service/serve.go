// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package service is what every mailpush process has around its loop: listening,
// graceful stop, health, metrics. Invariant: when the context ends, new requests
// are refused, running ones finish within StopTimeout, and Serve returns only then. What a
// port bears of whoever reaches it is bounded before any handler is asked.
package service

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"mailpush.internal/pkg/identity"
)

// StopTimeout is how long running requests may take after a stop was asked for.
const StopTimeout = 10 * time.Second

// Runtime is what a service gets from the process it runs in.
type Runtime struct {
	Log      *slog.Logger
	Metrics  *prometheus.Registry
	Identity *identity.Identity
	Version  string
}

// Serve serves HTTP/1.1 and HTTP/2 on l until ctx ends, with TLS when config is not
// nil and with prior-knowledge HTTP/2 in clear text when it is. Paths reach h clean, and
// bodies within 30 seconds or not whole; connections that say nothing are ended and displaced.
// It owns l.
func Serve(ctx context.Context, log *slog.Logger, what string, l net.Listener, config *tls.Config, h http.Handler) error {
	return serve(ctx, log, l, config, h, callLimits(what))
}

// ServeOps is Serve for what [OpsHandler] makes: in clear text, and to few.
func ServeOps(ctx context.Context, log *slog.Logger, l net.Listener, h http.Handler) error {
	return serve(ctx, log, l, nil, h, opsLimits())
}

func serve(ctx context.Context, log *slog.Logger, l net.Listener, config *tls.Config, h http.Handler, limits limits) error {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(config == nil)
	fresh, connections := newFresh(), newConnections(l, log, limits)
	server := &http.Server{
		ConnContext: connections.context,
		ConnState: func(conn net.Conn, state http.ConnState) {
			fresh.changed(conn, state)
			connections.changed(conn, state)
		},
		Handler:           noted(cleanPaths(timed(limits.body, h))),
		TLSConfig:         config,
		Protocols:         protocols,
		HTTP2:             http2(),
		ReadHeaderTimeout: limits.header,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	log.InfoContext(ctx, "listening", "what", limits.port, "address", l.Addr().String(), "tls", config != nil)

	served := make(chan error, 1)
	go func() {
		if config != nil {
			served <- server.ServeTLS(connections, "", "")
			return
		}
		served <- server.Serve(connections)
	}()
	select {
	case err := <-served:
		return fmt.Errorf("serving %s: %w", limits.port, err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), StopTimeout)
	defer cancel()
	closed := l.Close()
	if ended := <-served; closed == nil && !errors.Is(ended, net.ErrClosed) {
		return fmt.Errorf("serving %s: %w", limits.port, ended)
	}
	server.SetKeepAlivesEnabled(false)
	fresh.wait(freshTime)
	if err := server.Shutdown(stop); err != nil {
		log.WarnContext(ctx, "requests were cut off at stop", "what", limits.port, "error", err)
		_ = server.Close() // the connections that would not end in time
	}
	return nil
}

// Group runs the functions side by side; the first error ends the others. It
// returns when all have returned.
func Group(ctx context.Context, fns ...func(context.Context) error) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, fn := range fns {
		group.Go(func() error { return fn(ctx) })
	}
	return group.Wait()
}
