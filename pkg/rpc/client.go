// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"mailpush.internal/pkg/identity"
)

// BaseURL is what Connect clients made on [Client] use: the client knows the
// addresses, the certificate the name.
const BaseURL = "https://mailpush.internal"

const (
	dialTimeout = 2 * time.Second
	// pingAfter and pingTimeout find a peer that is gone without a word.
	pingAfter   = 10 * time.Second
	pingTimeout = 5 * time.Second
)

// Client speaks HTTP/2 over mutual TLS with one service, which may have several
// replicas. A new connection goes to the first address that answers. A call that is made
// for another one has its id.
func Client(id *identity.Identity, service string, addrs []string) *http.Client {
	config := id.ClientTLS(service)
	transport := &http.Transport{
		DialTLSContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return dialAny(ctx, network, service, addrs, config)
		},
		ForceAttemptHTTP2: true,
		IdleConnTimeout:   time.Minute,
		HTTP2: &http.HTTP2Config{
			SendPingTimeout: pingAfter,
			PingTimeout:     pingTimeout,
		},
	}
	return &http.Client{Transport: handsOn{transport}}
}

func dialAny(ctx context.Context, network, service string, addrs []string, config *tls.Config) (net.Conn, error) {
	if len(addrs) == 0 {
		return nil, fmt.Errorf("dialing %s: no address is configured", service)
	}
	dialer := &tls.Dialer{NetDialer: &net.Dialer{Timeout: dialTimeout}, Config: config}
	var errs []error
	for _, addr := range addrs {
		conn, err := dialer.DialContext(ctx, network, addr)
		if err == nil {
			return conn, nil
		}
		errs = append(errs, fmt.Errorf("dialing %s at %s: %w", service, addr, err))
	}
	return nil, errors.Join(errs...)
}
