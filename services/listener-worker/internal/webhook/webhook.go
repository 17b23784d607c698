// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package webhook is the transport that posts pushes to HTTP endpoints, signed as
// Standard Webhooks v1 and v1a.
//
// Invariants: no connection is made to an address that only the inside of a network
// should reach, whatever a URL or a name server says; no redirect is followed; a client
// certificate is shown to the origins of its rule only, and headers are sent to the one
// origin that they were given for; an answer costs bounded time and memory, whatever its
// size; neither a secret nor an endpoint's URL, which may hold one, appears in a result.
package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
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
	// Ports are those that may be dialled at addresses that are not in AllowPrivate.
	Ports []uint16
	// Resolver looks up the names of endpoints; nil means the system's.
	Resolver *net.Resolver
	// RequireEcho asks for the challenge of a ping in the body of its answer.
	RequireEcho bool
	// Timeout bounds one request from dialing to the answer. Zero means 15 s.
	Timeout time.Duration
	// RootCAs are who may vouch for endpoints; nil means the system's.
	RootCAs *x509.CertPool
	// Rules are what holds for some origins, other than for the rest; see [NewRules].
	Rules []*Rule
	// Reread is how often the files of rules are looked at, at most. Zero means 10 s.
	Reread time.Duration
	// Log tells of certificates that could not be read again; nil means nobody.
	Log *slog.Logger
	// RoundTripper wraps what makes the requests; the guard of addresses stays beneath
	// it. Nil means none.
	RoundTripper func(http.RoundTripper) http.RoundTripper
}

const (
	defaultTimeout = 15 * time.Second
	dialTimeout    = 5 * time.Second
	maxAnswerBytes = 64 << 10 // of a body; what is more is not read
	maxHeaderBytes = 64 << 10
	maxIdle        = 1024
	maxIdlePerHost = 64 // as many as there may be: a burst does not end in closed ones
	// maxConnsPerHost is above what deliveries ask for at once, 64 pushes and 8 questions:
	// who waits for a connection must not take that for an origin that is not there.
	maxConnsPerHost = 128
	idleTimeout     = 90 * time.Second
)

// Client sends webhooks. It is safe for concurrent use.
type Client struct {
	cfg    Config
	dialer *net.Dialer
	rest   *pool   // for origins without a rule
	ruled  []*pool // for those of each rule, the most specific first
}

var _ transport.Transport = (*Client)(nil)

// New makes a client with one pool of connections for the endpoints of each rule, and one
// for all others.
func New(cfg Config) *Client {
	if cfg.Timeout == 0 {
		cfg.Timeout = defaultTimeout
	}
	if cfg.Reread == 0 {
		cfg.Reread = rereadEvery
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	guard := newGuard(cfg.AllowPrivate, cfg.Ports)
	c := &Client{cfg: cfg, dialer: &net.Dialer{Timeout: dialTimeout, Resolver: cfg.Resolver, Control: guard.control}}
	c.rest = c.newPool(nil, &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: cfg.RootCAs})
	for _, rule := range sorted(cfg.Rules) {
		c.ruled = append(c.ruled, c.newPool(rule, rule.tls))
	}
	return c
}

// Close drops the idle connections.
func (c *Client) Close() {
	c.rest.closeIdle()
	for _, p := range c.ruled {
		p.closeIdle()
	}
}

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
	case transport.End:
		return c.end(ctx, push)
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
	var reached reach
	request, err := c.request(reached.watch(ctx), push, id, content)
	if err != nil {
		return transport.Result{Class: transport.Misconfigured, Detail: err.Error(), Unanswered: true}
	}
	response, err := c.poolFor(push.Target).client(ctx, c).Do(request)
	if err != nil {
		result := unanswered(err)
		result.Unreached = !reached.connected.Load()
		return result
	}
	// A short body is read to its end so that the connection can be used again; a
	// long one is cut off together with its connection.
	_, _ = io.CopyN(answer, response.Body, maxAnswerBytes)
	_ = response.Body.Close()
	return classify(response.StatusCode, response.Header, time.Now())
}

func (c *Client) request(ctx context.Context, push transport.Push, id string, content []byte) (*http.Request, error) {
	to, err := endpoint.Target(push.Target.Address, c.cfg.AllowHTTP)
	if err != nil {
		return nil, fmt.Errorf("the endpoint's URL %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, to.String(), bytes.NewReader(content))
	if err != nil {
		return nil, errURL // err would quote the URL
	}
	request.Header.Set("User-Agent", "mailpush/"+c.cfg.Version)
	if push.Headers != nil { // first: what follows is ours to say, whatever was stored
		for _, header := range push.Headers.For(c.Origin(push.Target)) {
			request.Header.Set(header.Name, header.Value.Reveal())
		}
	}
	request.Header.Set("Content-Type", "application/json")
	return request, sign(request.Header, push.Secret, id, time.Now(), content)
}

// errURL stands for errors that would quote the URL.
var errURL = errors.New("the endpoint's URL is not a URL")
