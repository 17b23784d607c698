// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package imap

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"mailpush.internal/services/listener-worker/internal/imap/internal/park"
	"mailpush.internal/services/listener-worker/internal/imap/internal/wire"
	"mailpush.internal/services/listener-worker/internal/listen"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

const (
	smallAnswer = 1 << 20 // bytes of any answer that is no list of mails
	// largeAnswer is what a list of mails may have, whatever a mail store adds to it.
	largeAnswer = 64 << 20
	// idleChatter is what may come between two operations, such as flag changes of a
	// whole folder; it is read and forgotten.
	idleChatter = 64 << 20

	// keptBefore and keptAfter the login are how much of one response is kept.
	keptBefore = 32 << 10
	keptAfter  = 256 << 10

	// heardAtOnce is how many bytes of a parked connection are taken before others have
	// their turn.
	heardAtOnce = 64 << 10

	// stepsAtMost bounds an operation of many steps by the time of so many answers that
	// come late.
	stepsAtMost = 4
)

// conn is one open mailbox. One operation runs at a time and reads what the mail store
// says; between operations, while IDLE stands, the connection is parked.
type conn struct {
	source  *Source
	host    *host
	store   string // for the log
	notify  listen.Notify
	timeout time.Duration // for each answer
	closed  atomic.Bool   // by us

	mu     sync.Mutex // held by the operation in flight, or by who hears what comes unasked
	parked bool       // no operation is in flight, and what comes is to be heard
	stream net.Conn   // TLS, or the socket itself
	socket *park.Socket

	*operation // nil while the connection is parked and nothing has come in part

	failed  error  // the first error, which all later ones are
	bye     string // what it said with its last breath
	lastTag uint32
	idleTag uint32 // of IDLE that stands, zero when none does
	caps    capabilities
	view    view
	end     end   // of the folder, as it was last told
	chatter int64 // bytes that may come until the next operation

	proven    uint32 // UIDNEXT as mails themselves have shown it, where STATUS tells less
	opened    uint32 // UIDNEXT as opening the folder told it, where STATUS then told less
	announced bool   // Noticed was called since the last look
	echoed    bool   // and for a count that was known already
	reopened  bool   // the folder was, once
	noStatus  bool   // it refuses STATUS of an open folder
	canIdle   bool
}

// operation is what only whoever has the connection needs. It is lent, like the buffers, so
// that there are as many as connections that are busy.
type operation struct {
	reader    wire.Reader
	response  wire.Response // the last one
	step      string        // what is being waited for, as people call it
	until     time.Time     // when all of it has to be over
	deadline  time.Time     // and the step it is at
	readUntil time.Time
	kept      int    // bytes of one response that are kept
	single    uint32 // the one mail it reads
	redactor  redactor
	words     string    // what the mail store said last that is no answer
	hushed    bool      // a look is about to begin: remember new mail, do not call
	heard     time.Time // when the mail store spoke while hushed
}

//nolint:gochecknoglobals // a pool is of use only when all share it
var operations = sync.Pool{New: func() any { return new(operation) }}

// lend gives the connection what an operation needs.
func (c *conn) lend() {
	if c.operation == nil {
		c.operation, _ = operations.Get().(*operation)
		c.kept = keptAfter
	}
}

// giveBack ends that, where nothing has come in part.
func (c *conn) giveBack() {
	c.response = wire.Response{}
	if c.reader.Release(); !c.reader.Empty() {
		return
	}
	*c.operation = operation{}
	operations.Put(c.operation)
	c.operation = nil
}

// end is where the folder ends, see [mailbox.End].
type end struct {
	validity, next, unseen uint32
}

// newConn takes a connection over; its first operation, which opens the mailbox, is in
// flight.
func newConn(s *Source, tcp net.Conn, timeout time.Duration, notify listen.Notify) (*conn, error) {
	c := &conn{source: s, notify: notify, timeout: timeout}
	socket, err := s.lot.Enter(tcp, c)
	if err != nil {
		return nil, err
	}
	c.socket, c.stream = socket, socket
	c.mu.Lock()
	c.lend()
	c.kept = keptBefore
	c.until = time.Now().Add(2 * stepsAtMost * timeout) // logging in has more steps
	return c, nil
}

// begin gives the next step its time and its bytes.
func (c *conn) begin(step string, budget int64) {
	c.within(step, c.timeout, budget)
}

func (c *conn) within(step string, limit time.Duration, budget int64) {
	c.step = step
	c.deadline = time.Now().Add(limit)
	if c.until.Before(c.deadline) {
		c.deadline = c.until
	}
	c.readUntil = c.deadline
	_ = c.stream.SetDeadline(c.deadline) // an error shows in the read
	c.reader.Allow(budget, c.kept)
}

// wake takes the connection over; every operation begins with it, and ends with rest.
func (c *conn) wake() {
	c.mu.Lock()
	c.parked = false
	c.socket.Unwatch()
	c.socket.Still(false)
	c.lend()
	c.single, c.words = 0, ""
	c.until = time.Now().Add(stepsAtMost * c.timeout)
}

// rest ends an operation and gives the connection up: its buffers are given back, and it
// is parked, unless another operation comes at once, before which IDLE does not stand.
//
// A parked connection has no deadline. The listener looks at the folder in time, and a peer
// that is gone shows by keep-alive.
func (c *conn) rest() {
	if c.failed != nil || c.idleTag == 0 && c.canIdle {
		c.giveBack()
		c.mu.Unlock()
		return
	}
	c.chatter = idleChatter
	_ = c.stream.SetDeadline(time.Time{}) // an error shows in the read
	c.socket.Still(true)
	c.parked = true
	c.listen()
}

// Wake implements [park.Waker].
func (c *conn) Wake() {
	if !c.mu.TryLock() {
		return // who has the connection listens before giving it up
	}
	if !c.parked {
		c.mu.Unlock()
		return
	}
	c.listen()
}

// listen takes what the mail store has said by itself, and gives the parked connection up
// to be watched.
func (c *conn) listen() {
	c.lend()
	c.step = stepWaiting
	c.reader.Allow(c.chatter, c.kept)
	err := c.hearAll()
	quiet := errors.Is(err, park.ErrNothingYet)
	if quiet {
		if c.source.cfg.ReleaseTLSBuffers {
			park.Release(c.stream)
		}
		err = nil
	}
	var failure *mailbox.Failure
	if err != nil {
		c.parked = false
		failure = c.classify(c.fail(err))
	}
	c.giveBack()
	c.mu.Unlock()
	switch { // from here on another may have the connection
	case failure != nil:
	case quiet:
		if err := c.socket.Watch(); err != nil {
			failure = c.unwatched(err)
		}
	default:
		c.socket.Loud()
	}
	if failure != nil && !c.closed.Load() {
		c.notify.Lost(failure)
	}
}

// hearAll takes what has come, up to a bound. It returns [park.ErrNothingYet] when that was
// all, and nil when there is more.
func (c *conn) hearAll() error {
	for left := heardAtOnce; left > 0; {
		ok, err := c.next()
		if ok {
			err = c.overhear(&c.response)
		}
		if err == nil && !ok {
			var n int
			n, err = c.receive()
			left -= n
			c.chatter -= int64(n)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// unwatched fails a connection that cannot be watched.
func (c *conn) unwatched(err error) *mailbox.Failure {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.parked = false
	_ = c.fail(err)
	return &mailbox.Failure{Class: mailbox.ClassUnavailable, Reason: "the connection cannot wait for the mail store", Err: err}
}

// overhear takes one response that came by itself.
func (c *conn) overhear(p *wire.Response) error {
	switch p.Kind {
	case wire.Untagged:
		if p.Is("BYE") {
			c.bye = c.plain(withCode(p.Status())) + " "
			return errBye
		}
		c.hear(p)
	case wire.Tagged, wire.Tagless:
		if tag, ok := parseTag(p.Tag); c.idleTag != 0 && (p.Kind == wire.Tagless || ok && tag == c.idleTag) {
			c.idleTag = 0 // the mail store has ended IDLE: a look is due, and IDLE anew
			c.notice()
			return nil
		}
		c.skipped(oddTag, p)
	case wire.Continuation:
		c.skipped(oddContinuation, p)
	case wire.Junk:
		c.skipped(oddJunk, p)
	}
	return nil
}

// fail records the first error and returns it.
func (c *conn) fail(err error) error {
	if c.failed == nil {
		c.failed = err
		_ = c.socket.Close() // nothing is left to be said on it
	}
	return c.failed
}

// Close implements [listen.Reader].
func (c *conn) Close() {
	c.closed.Store(true)
	_ = c.socket.Close() // nothing is left to be said on it
}
