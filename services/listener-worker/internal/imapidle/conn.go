// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package imapidle

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"mailpush.internal/services/listener-worker/internal/listen"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

const (
	smallAnswer = 1 << 20 // bytes of any answer that is no list of mails
	// idleChatter is what may come while IDLE stands, such as flag changes of a
	// whole folder; it is read and forgotten.
	idleChatter = 64 << 20

	defaultIdleRefresh = 28 * time.Minute
)

// conn is one open mailbox. Between operations only the client's reader lives.
type conn struct {
	wire    *wire
	client  *imapclient.Client
	timeout time.Duration // for each answer
	silence time.Duration // allowed between operations
	notify  listen.Notify

	idle      *imapclient.IdleCommand // standing, nil when not
	noStatus  bool                    // the mail store refuses STATUS of an open folder
	announced atomic.Bool             // Noticed was called since the last look
	hushed    atomic.Bool             // a look is about to begin: remember, do not call
	heard     atomic.Int64            // when the mail store spoke while hushed
}

// newConn takes a connection over; quiet is the longest time between two
// operations, after which the connection counts as dead.
func newConn(g *greeted, timeout, quiet time.Duration, notify listen.Notify) *conn {
	c := &conn{timeout: timeout, silence: quiet + timeout, notify: notify}
	c.wire = &wire{Conn: g.conn, tcp: g.tcp, ahead: g.ahead}
	c.wire.lost = func() { notify.Lost(c.wire.classify(nil)) }
	c.wire.begin(stepCapability, timeout, smallAnswer)
	c.client = imapclient.New(c.wire, &imapclient.Options{
		WordDecoder:           wordDecoder(),
		UnilateralDataHandler: &imapclient.UnilateralDataHandler{Mailbox: c.unilateral},
	})
	return c
}

// unilateral is called by the client's reader for data nobody asked for.
func (c *conn) unilateral(data *imapclient.UnilateralDataMailbox) {
	if data.NumMessages == nil {
		return
	}
	now := time.Now()
	switch {
	case c.hushed.Load():
		c.heard.CompareAndSwap(0, now.UnixNano())
	case !c.announced.Swap(true): // a flood of words is one word
		c.notify.Noticed(now)
	}
}

// Idle implements [listen.Reader].
func (c *conn) Idle() error {
	c.wire.begin(stepIdle, c.timeout, smallAnswer)
	idle, err := c.client.Idle()
	if status, refused := errors.AsType[*imap.Error](err); refused {
		c.rest()
		return fmt.Errorf("%w: %s", listen.ErrIdleRefused, withText("asking at intervals", status))
	}
	if err != nil {
		return c.wire.classify(err)
	}
	c.idle = idle
	c.rest()
	return nil
}

// Check implements [listen.Reader].
func (c *conn) Check(look mailbox.Look) (mailbox.End, time.Time, error) {
	c.wire.begin(stepStatus, c.timeout, smallAnswer)
	ended := c.endIdle()
	if failure := c.refresh(look, ended); failure != nil {
		return mailbox.End{}, time.Time{}, failure
	}
	c.announced.Store(false) // what comes from here on may be too late for this look
	c.hushed.Store(false)
	end, failure := c.status(ended)
	if failure != nil {
		return mailbox.End{}, time.Time{}, failure
	}
	var heard time.Time
	if nano := c.heard.Swap(0); nano != 0 {
		heard = time.Unix(0, nano)
	}
	c.rest()
	return end, heard, nil
}

// refresh makes the mail store look at the folder. Its word of changes needs no
// look of its own, since one is under way.
func (c *conn) refresh(look mailbox.Look, ended func() error) *mailbox.Failure {
	switch look {
	case mailbox.Ask:
	case mailbox.Sync:
		c.hushed.Store(true)
		return c.noop(ended)
	case mailbox.Reopen:
		c.hushed.Store(true)
		return c.reopen(ended)
	}
	return nil
}

func (c *conn) noop(ended func() error) *mailbox.Failure {
	c.wire.begin(stepNoop, c.timeout, smallAnswer)
	cmd := c.client.Noop()
	if err := ended(); err != nil {
		return c.wire.classify(err)
	}
	if err := cmd.Wait(); err != nil {
		return c.wire.classify(err)
	}
	return nil
}

// reopen opens the folder again, whatever is there now.
func (c *conn) reopen(ended func() error) *mailbox.Failure {
	if err := ended(); err != nil {
		return c.wire.classify(err)
	}
	if _, failure := c.examine(); failure != nil {
		return failure
	}
	c.wire.begin(stepStatus, c.timeout, smallAnswer)
	return nil
}

// endIdle says DONE where IDLE stands, and returns what waits for its end: the
// next command can be sent before that, which saves a round trip.
func (c *conn) endIdle() (wait func() error) {
	idle := c.idle
	c.idle = nil
	if idle == nil {
		return func() error { return nil }
	}
	closing := idle.Close()
	waited := false
	return func() error {
		if closing != nil || waited {
			return closing
		}
		waited = true
		err := idle.Wait()
		if _, grumbled := errors.AsType[*imap.Error](err); grumbled {
			return nil // IDLE has ended all the same
		}
		return err
	}
}

func (c *conn) rest() { c.wire.rest(stepWaiting, c.silence, idleChatter) }

// Close implements [listen.Reader].
func (c *conn) Close() { c.wire.shut() }
