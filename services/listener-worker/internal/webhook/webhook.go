// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package webhook is the transport that posts pushes to HTTP endpoints, signed as
// Standard Webhooks v1 and v1a.
//
// Invariants: no connection is made to an address that only the inside of a network
// should reach, whatever a URL or a name server says; no redirect is followed; an
// answer costs bounded time and memory, whatever its size; neither a secret nor an
// endpoint's URL, which may hold one, appears in a result.
package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"time"

	"mailpush.internal/pkg/endpoint"
	"mailpush.internal/services/listener-worker/internal/transport"
)

// Config sets up a Client.
type Config struct {
	// Instance names the installation in the ids of events.
	Instance string
	// Version is told to endpoints.
	Version string
	// AllowHTTP also allows endpoints without TLS.
	AllowHTTP bool
	// AllowPrivate are addresses that may be dialled although they are private, on
	// loopback or otherwise not public. Metadata services of clouds are let through
	// only by a prefix of one address.
	AllowPrivate []netip.Prefix
	// Resolver looks up the names of endpoints; nil means the system's.
	Resolver *net.Resolver
	// RequireEcho asks for the challenge of a ping in the body of its answer.
	RequireEcho bool
	// Timeout bounds one request from dialing to the answer. Zero means 15 s.
	Timeout time.Duration
	// RootCAs are who may vouch for endpoints; nil means the system's.
	RootCAs *x509.CertPool
	// RoundTripper wraps what makes the requests; the guard of addresses stays beneath
	// it. Nil means none.
	RoundTripper func(http.RoundTripper) http.RoundTripper
}

const (
	defaultTimeout  = 15 * time.Second
	dialTimeout     = 5 * time.Second
	maxAnswerBytes  = 64 << 10 // of a body; what is more is not read
	maxHeaderBytes  = 64 << 10
	maxIdle         = 1024
	maxIdlePerHost  = 64 // as many as there may be: a burst does not end in closed ones
	maxConnsPerHost = 64
	idleTimeout     = 90 * time.Second
)

// Client sends webhooks. It is safe for concurrent use.
type Client struct {
	cfg   Config
	http  *http.Client
	close func()
}

var _ transport.Transport = (*Client)(nil)

// New makes a client with one pool of connections for all endpoints.
func New(cfg Config) *Client {
	if cfg.Timeout == 0 {
		cfg.Timeout = defaultTimeout
	}
	dialer := &net.Dialer{Timeout: dialTimeout, Resolver: cfg.Resolver, Control: newGuard(cfg.AllowPrivate).control}
	direct := &http.Transport{
		// No proxy from the environment: where a push goes is for the operator's
		// configuration to say.
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: cfg.RootCAs},
		TLSHandshakeTimeout:    dialTimeout,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true, // an answer that swells when read is no use
		MaxResponseHeaderBytes: maxHeaderBytes,
		MaxIdleConns:           maxIdle,
		MaxIdleConnsPerHost:    maxIdlePerHost,
		MaxConnsPerHost:        maxConnsPerHost,
		IdleConnTimeout:        idleTimeout,
	}
	var trip http.RoundTripper = direct
	if cfg.RoundTripper != nil {
		trip = cfg.RoundTripper(direct)
	}
	return &Client{cfg: cfg, close: direct.CloseIdleConnections, http: &http.Client{
		Transport:     trip,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Close drops the idle connections.
func (c *Client) Close() { c.close() }

// Asks implements [transport.Transport]: nobody is pushed to who has not said so.
func (c *Client) Asks() bool { return true }

// Signs implements [transport.Transport].
func (c *Client) Signs() bool { return true }

// Origin implements [transport.Transport]: scheme, host and port of the URL.
func (c *Client) Origin(target transport.Target) string { return endpoint.Origin(target.Address) }

// Send implements [transport.Transport].
func (c *Client) Send(ctx context.Context, push transport.Push) transport.Result {
	switch push.Purpose {
	case transport.Ask:
		return c.ask(ctx, push)
	case transport.Try:
		return c.try(ctx, push)
	case transport.Announce:
	}
	return c.announce(ctx, push)
}

// announce tells of a batch. The same batch is sent under the same webhook-id on every
// try, with a timestamp and signature of the try.
func (c *Client) announce(ctx context.Context, push transport.Push) transport.Result {
	content, err := encode(c.cfg.Instance, push)
	if err != nil {
		return transport.Result{Class: transport.Misconfigured, Detail: err.Error()}
	}
	return c.post(ctx, push, push.Batch.ID(push.Subscription, push.Folder), content, io.Discard)
}

// post makes one signed request. The beginning of the answer's body goes to answer.
func (c *Client) post(ctx context.Context, push transport.Push, id string, content []byte, answer io.Writer) transport.Result {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	request, err := c.request(ctx, push, id, content)
	if err != nil {
		return transport.Result{Class: transport.Misconfigured, Detail: err.Error()}
	}
	response, err := c.http.Do(request)
	if err != nil {
		return unanswered(err)
	}
	// A short body is read to its end so that the connection can be used again; a
	// long one is cut off together with its connection.
	_, _ = io.CopyN(answer, response.Body, maxAnswerBytes)
	_ = response.Body.Close()
	return classify(response.StatusCode, response.Header, time.Now())
}

func (c *Client) request(ctx context.Context, push transport.Push, id string, content []byte) (*http.Request, error) {
	if err := endpoint.CheckURL(push.Target.Address, c.cfg.AllowHTTP); err != nil {
		return nil, fmt.Errorf("the endpoint's URL %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, push.Target.Address, bytes.NewReader(content))
	if err != nil {
		return nil, errURL // err would quote the URL
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "mailpush/"+c.cfg.Version)
	return request, sign(request.Header, push.Secret, id, time.Now(), content)
}

// errURL stands for errors that would quote the URL.
var errURL = errors.New("the endpoint's URL is not a URL")
