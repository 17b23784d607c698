// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package imap

import (
	"fmt"
	"math"
	"time"

	"mailpush.internal/services/listener-worker/internal/imap/internal/wire"
	"mailpush.internal/services/listener-worker/internal/listen"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// Idle implements [listen.Idler].
func (c *conn) Idle() error {
	c.wake()
	defer c.rest()
	c.begin(stepIdle, smallAnswer)
	cmd := &command{text: "IDLE"}
	x := &exchange{commands: []*command{cmd}}
	stands := false
	x.more = func() []byte {
		stands, cmd.ended = true, true
		return nil
	}
	err := c.send(x.commands)
	if err == nil {
		err = c.await(x)
	}
	if err != nil {
		return c.classify(err)
	}
	if !stands && cmd.err == nil {
		cmd.err = &statusError{kind: "OK", text: "IDLE ended at once"}
	}
	if cmd.err != nil {
		c.canIdle = false
		return fmt.Errorf("%w: %s", listen.ErrIdleRefused, withText("asking at intervals", cmd.err))
	}
	c.idleTag = cmd.tag
	return nil
}

// Check implements [listen.Reader].
func (c *conn) Check(look mailbox.Look) (mailbox.Checkup, error) {
	c.wake()
	defer c.rest()
	c.announced, c.echoed = false, false
	c.hushed, c.heard = true, time.Time{}
	before := c.end
	if failure := c.look(look); failure != nil {
		return mailbox.Checkup{}, failure
	}
	unsure, failure := c.resolve(before)
	if failure != nil {
		return mailbox.Checkup{}, failure
	}
	if c.opened != 0 {
		c.proven, c.opened = max(c.proven, c.opened), 0
	}
	if !unsure {
		c.view.looked(c.end.next)
	}
	heard := c.heard
	if look == mailbox.Ask {
		heard = time.Time{} // it was the mail store's idea
	}
	return mailbox.Checkup{End: c.end.told(), Noticed: heard, Unsure: unsure}, nil
}

// look has the mail store look at the folder, and asks where it ends. Its word of
// changes needs no look of its own, since one is under way.
func (c *conn) look(look mailbox.Look) *mailbox.Failure {
	switch look {
	case mailbox.Sync:
		if !c.reopened && !c.host.showsNewMail.Load() {
			return c.look(mailbox.Reopen)
		}
		return c.status(&command{text: "NOOP"}, &command{text: statusCommand})
	case mailbox.Reopen:
		if failure := c.reopen(); failure != nil {
			return failure
		}
		return c.statusOfOpened()
	case mailbox.Ask:
	}
	return c.status(&command{text: statusCommand})
}

// statusOfOpened asks where a folder ends that was just opened. What opening it told holds
// where STATUS tells less.
func (c *conn) statusOfOpened() *mailbox.Failure {
	opened := c.end
	if failure := c.status(&command{text: statusCommand}); failure != nil {
		return failure
	}
	if c.end.validity == opened.validity && c.end.next < opened.next {
		c.end.next, c.opened = opened.next, opened.next
	}
	return nil
}

// reopen opens the folder again, whatever is there now. Some mail stores take new mail
// into a folder only when it is opened by SELECT, so that is done until new mail has shown
// itself in one opened by EXAMINE.
func (c *conn) reopen() *mailbox.Failure {
	c.reopened = true
	if c.host.showsNewMail.Load() {
		return c.examine()
	}
	failure := c.selectFolder()
	if failure != nil && isStatus(failure) && c.failed == nil {
		return c.examine()
	}
	return failure
}

// resolve looks closer where more mails are announced than the end of the folder allows
// for: it searches, then opens the folder again. It returns true where that does not
// explain them; the answers may come later.
func (c *conn) resolve(before end) (unsure bool, failure *mailbox.Failure) {
	if c.end.validity != before.validity || !c.view.contradicts(c.end.next) {
		return false, c.keepEnd(before)
	}
	c.source.metrics.contradict.Inc()
	found, failure := c.endBySearch()
	if failure != nil || found {
		return false, failure
	}
	was, told := c.view.look, c.end
	if failure := c.reopen(); failure != nil {
		return false, failure
	}
	if c.end.validity == told.validity { // opening may tell less than STATUS did, or nothing
		c.end.next = max(c.end.next, told.next)
	}
	c.view.look = was
	if c.view.contradicts(c.end.next) {
		c.end.next = max(c.end.next, before.next)
		return true, nil
	}
	return false, nil
}

// keepEnd keeps an end that was proven by mails themselves, where what STATUS tells is
// still older.
func (c *conn) keepEnd(before end) *mailbox.Failure {
	if c.end.validity != before.validity || c.end.next >= c.proven {
		c.proven = 0
		return nil
	}
	_, failure := c.endBySearch()
	return failure
}

// endBySearch raises the end of the folder above the mails there are beyond it.
func (c *conn) endBySearch() (bool, *mailbox.Failure) {
	c.begin(stepSearch, largeAnswer)
	high := uint32(0)
	from := c.end.next
	cmd := searchCommand(fmt.Sprintf("%d:*", from))
	err := c.ask(func(p *wire.Response) {
		if !p.Is("SEARCH") && !p.Is("ESEARCH") {
			return
		}
		p.Numbers(func(_, last uint64) bool {
			if last >= uint64(from) && last <= math.MaxUint32 { // n:* names the last mail even below n
				high = max(high, uint32(last))
			}
			return true
		})
	}, cmd)
	if err != nil {
		return false, c.classify(err)
	}
	if high == 0 || high == math.MaxUint32 {
		return false, nil
	}
	c.end.next = high + 1
	c.proven = c.end.next
	return true, nil
}
