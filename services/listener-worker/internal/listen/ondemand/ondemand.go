// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package ondemand opens mailboxes for listeners that wait for hints with no connection,
// and keeps each open for a while after it was used: mail seldom comes alone, and a login
// is dear.
//
// Invariants: an open mailbox is in the hands of one listener, or waits for one; it is
// lent again for the same settings of the mail store and a credential that is no newer
// only; one whose last operation failed, or had not ended, is closed.
package ondemand

import (
	"context"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/listen"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// KeptFor is how long a mailbox that nobody uses is kept open.
const KeptFor = 30 * time.Second

// fresh is how a mailbox that is open already is looked at. A mail store may answer NOOP
// and STATUS from what the session has seen before (Dovecot up to half a second), and a
// hint is newer.
const fresh = mailbox.Reopen

// Pool opens mailboxes, and keeps them open. It is safe for concurrent use.
type Pool struct {
	source listen.Source
	kept   time.Duration

	mu     sync.Mutex
	open   map[mailbox.User]*connection // the last one of each user, until it is closed
	closed bool
}

// connection is a mailbox that is open. A listener has it, or it waits for one.
type connection struct {
	pool    *Pool
	user    mailbox.User
	store   *mailv1.MailStore
	opening listen.Opening
	reader  listen.Reader

	// Guarded by the pool's lock.
	timer *time.Timer // while it waits
	busy  bool        // an operation is in flight
	bad   bool        // of no more use
}

// New makes a pool of mailboxes of a source, which are kept open for so long; zero is
// [KeptFor]. Whoever made it closes it.
func New(source listen.Source, kept time.Duration) *Pool {
	if kept == 0 {
		kept = KeptFor
	}
	return &Pool{source: source, kept: kept, open: make(map[mailbox.User]*connection)}
}

// Open lends the mailbox that is open, once it told where it ends, or opens it. Closing
// the reader gives it back.
func (p *Pool) Open(ctx context.Context, of mailbox.Listening, login listen.LoginFunc) (*Reader, listen.Opening, error) {
	if c := p.take(of); c != nil {
		stop := context.AfterFunc(ctx, c.reader.Close)
		got, err := c.reader.Check(fresh)
		stop()
		if err == nil {
			c.opening.End = got.End
			return &Reader{of: c}, c.opening, nil
		}
		p.discard(c)
	}
	reader, opening, err := p.source.Open(ctx, of, login, listen.Nobody{})
	if err != nil {
		return nil, opening, err
	}
	c := &connection{pool: p, user: of.User, store: of.Store, opening: opening, reader: reader}
	p.mu.Lock()
	p.open[of.User] = c
	p.mu.Unlock()
	return &Reader{of: c}, opening, nil
}

// take takes the mailbox that waits, if it is the one that would be opened.
func (p *Pool) take(of mailbox.Listening) *connection {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.open[of.User]
	if c == nil || c.timer == nil {
		return nil
	}
	c.timer.Stop()
	c.timer = nil
	if !proto.Equal(c.store, of.Store) || c.opening.Version < of.CredentialVersion {
		p.drop(c)
		return nil
	}
	return c
}

// giveBack has a mailbox wait for the next one that wants it.
func (p *Pool) giveBack(r *Reader) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.closed {
		return
	}
	r.closed = true
	c := r.of
	if c.bad || c.busy || p.closed || p.open[c.user] != c {
		p.drop(c)
		return
	}
	c.timer = time.AfterFunc(p.kept, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if c.timer != nil { // nobody has taken it
			p.drop(c)
		}
	})
}

func (p *Pool) discard(c *connection) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop(c)
}

// drop closes a mailbox. p.mu is held.
func (p *Pool) drop(c *connection) {
	if c.timer != nil {
		c.timer.Stop()
		c.timer = nil
	}
	c.bad = true
	if p.open[c.user] == c {
		delete(p.open, c.user)
	}
	c.reader.Close()
}

// Forget closes a mailbox that waits; one that is lent is closed when it is given back.
func (p *Pool) Forget(user mailbox.User) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.open[user]
	switch {
	case c == nil:
	case c.timer != nil:
		p.drop(c)
	default:
		delete(p.open, user)
	}
}

// Close closes all that wait. Nothing is kept open from now on.
func (p *Pool) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, c := range p.open {
		if c.timer != nil {
			p.drop(c)
		}
	}
}

// Reader is an open mailbox in the hands of a listener.
type Reader struct {
	of     *connection
	closed bool // guarded by the pool's lock
}

var _ listen.Reader = (*Reader)(nil)

// Check implements [listen.Reader].
func (r *Reader) Check(mailbox.Look) (got mailbox.Checkup, err error) {
	r.operate(func() error {
		got, err = r.of.reader.Check(fresh)
		return err
	})
	return got, err
}

// Fetch implements [listen.Reader].
func (r *Reader) Fetch(want mailbox.Range) (got mailbox.Reading, err error) {
	r.operate(func() error {
		got, err = r.of.reader.Fetch(want)
		return err
	})
	return got, err
}

// Close implements [listen.Reader].
func (r *Reader) Close() { r.of.pool.giveBack(r) }

// Discard closes the mailbox, which is not kept open.
func (r *Reader) Discard() {
	r.of.set(func() { r.of.bad = true })
	r.Close()
}

// Unwrap is the reader of the source, which stays this one's.
func (r *Reader) Unwrap() listen.Reader { return r.of.reader }

// Abort closes the mailbox also while an operation is in flight, which then fails.
func (r *Reader) Abort() { r.of.reader.Close() }

// operate notes that an operation is in flight, and that the mailbox is of no more use
// after one has failed.
func (r *Reader) operate(operation func() error) {
	c := r.of
	c.set(func() { c.busy = true })
	err := operation()
	c.set(func() { c.busy, c.bad = false, c.bad || err != nil })
}

func (c *connection) set(change func()) {
	c.pool.mu.Lock()
	defer c.pool.mu.Unlock()
	change()
}
