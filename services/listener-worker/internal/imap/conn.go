// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package imap

import (
	"net"
	"sync/atomic"
	"time"

	"mailpush.internal/services/listener-worker/internal/imap/internal/wire"
	"mailpush.internal/services/listener-worker/internal/listen"
)

const (
	smallAnswer = 1 << 20 // bytes of any answer that is no list of mails
	// largeAnswer is what a list of mails may have, whatever a mail store adds to it.
	largeAnswer = 64 << 20
	// idleChatter is what may come while IDLE stands, such as flag changes of a
	// whole folder; it is read and forgotten.
	idleChatter = 64 << 20

	// keptBefore and keptAfter the login are how much of one response is kept.
	keptBefore = 32 << 10
	keptAfter  = 256 << 10

	defaultIdleRefresh = 28 * time.Minute
	// stepsAtMost bounds an operation of many steps by the time of so many answers that
	// come late.
	stepsAtMost = 4
)

// conn is one open mailbox. One operation runs at a time and reads what the mail store
// says; between operations, while IDLE stands, a goroutine waits for the next byte.
type conn struct {
	source  *Source
	host    *host
	store   string // for the log
	notify  listen.Notify
	timeout time.Duration // for each answer
	silence time.Duration // allowed between operations

	stream net.Conn // TLS or TCP
	tcp    net.Conn // what to close: closing TLS may block on a deaf peer
	reader wire.Reader
	closed atomic.Bool // by us

	// Of the operation in flight.
	response  wire.Response // the last one
	step      string        // what is being waited for, as people call it
	until     time.Time     // when all of it has to be over
	deadline  time.Time     // and the step it is at
	readUntil time.Time
	kept      int
	single    uint32 // the one mail it reads
	redactor  redactor
	words     string // what the mail store said last that is no answer

	failed  error  // the first error, which all later ones are
	bye     string // what it said with its last breath
	lastTag uint32
	idleTag uint32 // of IDLE that stands, zero when none does
	caps    capabilities
	view    view
	end     end // of the folder, as it was last told

	announced bool      // Noticed was called since the last look
	echoed    bool      // and for a count that was known already
	hushed    bool      // a look is about to begin: remember, do not call
	heard     time.Time // when the mail store spoke while hushed
	proven    uint32    // UIDNEXT as mails themselves have shown it, where STATUS tells less
	opened    uint32    // UIDNEXT as opening the folder told it, where STATUS then told less
	reopened  bool      // the folder was, once
	noStatus  bool      // it refuses STATUS of an open folder
	canIdle   bool

	first   [128]byte     // what comes first while IDLE stands
	loud    bool          // there may be more
	waiting bool          // a goroutine waits for what it says by itself
	stop    atomic.Bool   // the goroutine is to stop
	stopped chan struct{} // and has
}

// end is where the folder ends, see [mailbox.End].
type end struct {
	validity, next, unseen uint32
}

func newConn(s *Source, tcp net.Conn, timeout, quiet time.Duration, notify listen.Notify) *conn {
	return &conn{
		until:  time.Now().Add(2 * stepsAtMost * timeout), // logging in has more steps
		source: s, notify: notify, timeout: timeout, silence: quiet + timeout,
		stream: tcp, tcp: tcp, kept: keptBefore, stopped: make(chan struct{}, 1),
	}
}

// begin gives the next step its time and its bytes.
func (c *conn) begin(step string, budget int64) {
	c.within(step, c.timeout, budget)
}

func (c *conn) within(step string, limit time.Duration, budget int64) {
	c.step = step
	c.deadline = time.Now().Add(limit)
	if step != stepWaiting && c.until.Before(c.deadline) {
		c.deadline = c.until
	}
	c.readUntil = c.deadline
	_ = c.stream.SetDeadline(c.deadline) // an error shows in the read
	c.reader.Allow(budget, c.kept)
}

// wake takes over from the goroutine that waits; every operation begins with it.
func (c *conn) wake() {
	c.until = time.Now().Add(stepsAtMost * c.timeout)
	if !c.waiting {
		return
	}
	c.waiting = false
	c.stop.Store(true)
	_ = c.stream.SetReadDeadline(time.Unix(1, 0)) // an error ends the read as well
	<-c.stopped
	c.stop.Store(false)
}

// rest ends an operation: buffers are given back, and a goroutine waits for what the
// mail store says by itself.
func (c *conn) rest() {
	c.within(stepWaiting, c.silence, idleChatter)
	c.response = wire.Response{}
	c.reader.Release()
	if c.idleTag == 0 && c.canIdle {
		return // between two operations; the next one comes at once
	}
	c.waiting = true
	go c.wait()
}

// wait takes what the mail store says while no operation runs.
func (c *conn) wait() {
	defer func() { c.stopped <- struct{}{} }()
	for {
		ok, err := c.next()
		if ok {
			if err = c.overhear(&c.response); err == nil {
				continue
			}
		}
		if err == nil {
			c.reader.Release()
			err = c.readIdle()
		}
		if err == nil {
			continue
		}
		if isTimeout(err) && c.stop.Load() || c.closed.Load() {
			return
		}
		failure := c.classify(c.fail(err))
		c.notify.Lost(failure)
		return
	}
}

// readIdle reads what comes first into a few bytes, so that a connection that says nothing
// has no buffer; what follows goes into one.
func (c *conn) readIdle() error {
	if c.loud {
		c.loud = false
		return c.read(c.deadline)
	}
	n, err := c.stream.Read(c.first[:])
	if n == 0 {
		return err
	}
	c.loud = n == len(c.first)
	copy(c.reader.Space(), c.first[:n])
	return c.reader.Filled(n) // an error comes again
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
		_ = c.tcp.Close() // nothing is left to be said on it
	}
	return c.failed
}

// Close implements [listen.Reader].
func (c *conn) Close() {
	c.closed.Store(true)
	_ = c.tcp.Close() // nothing is left to be said on it
}
