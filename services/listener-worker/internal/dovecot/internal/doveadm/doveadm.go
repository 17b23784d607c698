// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package doveadm speaks to the doveadm HTTP API of Dovecot 2.3 and 2.4, version 1: what
// is asked for several users goes in one POST, a few POSTs at a time.
//
// Invariant: what one user's mailbox does costs the others no more than a few POSTs. A
// POST that ends, hangs or brings something else than its answers is asked again in
// halves, down to the user it is about; that one is set aside for a while, but only when
// others have been answered meanwhile, for else the mail store is ill. Every POST has a
// deadline, every answer a bound of bytes, and the key shows in no error.
package doveadm

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"
	"unicode"

	"mailpush.internal/pkg/secret"
)

const (
	defaultConcurrency = 2
	defaultTimeout     = 10 * time.Second
	maxUser            = 1000 // bytes of a name
)

// Config sets up a Client.
type Config struct {
	// URL is where the API is: http(s)://host:port/doveadm/v1.
	URL string
	// Key is the doveadm_api_key at this moment; nil: an empty one.
	Key func() secret.String
	// TLS protects https; nil trusts what the system trusts.
	TLS *tls.Config
	// Concurrency is how many POSTs there are at once; 2 when zero. Each occupies a
	// doveadm process of the mail store.
	Concurrency int
	// Timeout is what one POST may take; 10 seconds when zero.
	Timeout time.Duration
	// Posted is told how each POST has ended: ok or why not; may be nil.
	Posted func(result string)
}

// Client asks one mail store. It is safe for concurrent use.
type Client struct {
	cfg  Config
	url  string
	http *http.Client
	life context.Context //nolint:containedctx // the life of the client, for its POSTs
	end  context.CancelFunc
	wait sync.WaitGroup

	mu       sync.Mutex
	waiting  []*request
	running  int
	gather   *time.Timer // nil while nothing is gathered
	lastTag  uint64
	good     uint64 // POSTs that were answered well
	failures int    // POSTs without an answer since
	outage   outage
	aside    map[string]*exile
	closed   bool
}

// New makes a client. It opens nothing.
func New(cfg Config) *Client {
	cfg.Concurrency = cmp.Or(cfg.Concurrency, defaultConcurrency)
	cfg.Timeout = cmp.Or(cfg.Timeout, defaultTimeout)
	if cfg.Key == nil {
		cfg.Key = func() secret.String { return secret.String{} }
	}
	if cfg.Posted == nil {
		cfg.Posted = func(string) {}
	}
	life, end := context.WithCancel(context.Background())
	return &Client{
		cfg: cfg, url: cfg.URL, life: life, end: end, aside: make(map[string]*exile),
		http: &http.Client{
			// Dovecot closes after every answer, and an open connection occupies a process.
			Transport: &http.Transport{
				DisableKeepAlives: true, DisableCompression: true, TLSClientConfig: cfg.TLS, TLSHandshakeTimeout: cfg.Timeout,
			},
			// The key goes nowhere else.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// Close ends all POSTs. What still waits is answered with an error.
func (c *Client) Close() {
	c.mu.Lock()
	c.closed = true
	left := c.waiting
	c.waiting = nil
	if c.gather != nil {
		c.gather.Stop()
	}
	c.mu.Unlock()
	c.end()
	for _, r := range left {
		r.fail(errClosed)
	}
	c.wait.Wait()
}

var errClosed = &Error{Kind: Down, Reason: "this worker stops"}

// request is what is asked for one user.
type request struct {
	user     string
	commands []Command
	weight   int
	alone    bool // in a POST of its own

	done    chan struct{}
	answers []Answer
	err     *Error
}

func (r *request) fail(err *Error) {
	r.err = err
	close(r.done)
}

func (r *request) finish(answers []Answer) {
	r.answers = answers
	close(r.done)
}

// Ask asks for one user, in this order. It returns one answer for each command, or an
// [*Error] when there are none. When ctx ends first, the answers are dropped.
func (c *Client) Ask(ctx context.Context, user string, commands ...Command) ([]Answer, error) {
	if err := checkUser(user); err != nil {
		return nil, err
	}
	r := &request{user: user, commands: commands, done: make(chan struct{})}
	for _, command := range commands {
		r.weight += command.weight
	}
	if err := c.enter(r); err != nil {
		return nil, err
	}
	select {
	case <-r.done:
	case <-ctx.Done():
		c.withdraw(r)
		return nil, &Error{Kind: Down, Reason: "it was given up", Err: ctx.Err()}
	}
	if r.err != nil {
		return nil, r.err
	}
	return r.answers, nil
}

// checkUser refuses names that no mail store has, and that might end the POST for all; and
// patterns, for which doveadm asks every user that fits.
func checkUser(user string) error {
	if user == "" || len(user) > maxUser || strings.ContainsFunc(user, unicode.IsControl) || strings.ContainsAny(user, "*?") {
		return &Error{Kind: NoUser, Reason: "this cannot be the name of a Dovecot user"}
	}
	return nil
}

// enter lets a request wait, unless it has no prospect.
func (c *Client) enter(r *request) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return errClosed
	}
	now := time.Now()
	if err := c.outage.refuses(now); err != nil {
		return err
	}
	if x := c.aside[r.user]; x != nil {
		if now.Before(x.until) {
			return x.err()
		}
		r.alone = true
	}
	c.waiting = append(c.waiting, r)
	c.start(false)
	return nil
}

// withdraw takes back what nobody waits for any more, if it was not sent.
func (c *Client) withdraw(r *request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, waiting := range c.waiting {
		if waiting == r {
			c.waiting = append(c.waiting[:i], c.waiting[i+1:]...)
			return
		}
	}
}

// IsKind tells whether an error is of a kind.
func IsKind(err error, kind Kind) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Kind == kind
}

// OfAll tells whether an error is that of a doveadm which answers nobody.
func OfAll(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.All
}
