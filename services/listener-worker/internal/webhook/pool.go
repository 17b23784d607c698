// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"crypto/tls"
	"net/http"
	"sync"
	"time"

	"mailpush.internal/services/listener-worker/internal/transport"
)

// rereadEvery is how often the files of a rule are looked at, at most.
const rereadEvery = 10 * time.Second

// pool is the connections to the endpoints that one rule is for, or to all that none is
// for. Connections are kept per rule because what was shown when one was opened counts
// for as long as it lives.
type pool struct {
	rule *Rule // nil for the rest

	mu     sync.Mutex // guards what is below, which changes where there is a rule
	http   *http.Client
	close  func()
	looked time.Time
	read   stamp // of the files, as they were read
	failed stamp // of those that could not be read, so that it is told once
}

// newPool makes the connections of a rule, or of the rest.
func (c *Client) newPool(rule *Rule, config *tls.Config) *pool {
	p := &pool{rule: rule}
	if rule != nil {
		p.read = rule.read
	}
	p.http, p.close = c.newClient(config)
	return p
}

func (c *Client) newClient(config *tls.Config) (client *http.Client, closeIdle func()) {
	direct := &http.Transport{
		// No proxy from the environment: where a push goes is for the operator's
		// configuration to say.
		DialContext:            c.dialer.DialContext,
		TLSClientConfig:        config,
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
	if c.cfg.RoundTripper != nil {
		trip = c.cfg.RoundTripper(direct)
	}
	return &http.Client{
		Transport:     trip,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, direct.CloseIdleConnections
}

// poolFor is the pool of the rule that is for a target, the most specific one first.
func (c *Client) poolFor(target transport.Target) *pool {
	if len(c.ruled) == 0 {
		return c.rest
	}
	origin := c.Origin(target)
	for _, p := range c.ruled {
		if p.rule.covers(origin) {
			return p
		}
	}
	return c.rest
}

// client is what makes a request. Where the files of the rule have changed it is a new one,
// on connections of its own: those that were opened with what was read before end with
// what is in flight. Files that cannot be read, such as those of which one is written and
// the other not yet, change nothing.
func (p *pool) client(ctx context.Context, c *Client) *http.Client {
	if p.rule == nil {
		return p.http
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.looked) < c.cfg.Reread {
		return p.http
	}
	p.looked = time.Now()
	now := p.rule.files.stamp()
	if now == p.read || now == p.failed {
		return p.http
	}
	config, err := p.rule.files.load()
	if err != nil {
		p.failed = now
		c.cfg.Log.WarnContext(ctx, "the files of a webhook rule have changed and cannot be read; what was read before counts",
			"origin", p.rule.origin, "error", err)
		return p.http
	}
	p.close()
	p.read, p.failed = now, stamp{}
	p.http, p.close = c.newClient(config)
	c.cfg.Log.InfoContext(ctx, "the files of a webhook rule were read again", "origin", p.rule.origin)
	return p.http
}

// closeIdle drops the idle connections.
func (p *pool) closeIdle() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.close()
}
