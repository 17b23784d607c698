// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package imap

import (
	"slices"
	"time"

	"mailpush.internal/services/listener-worker/internal/imap/internal/wire"
)

// hear takes untagged data in whatever phase it comes (RFC 9051 section 5.2).
func (c *conn) hear(p *wire.Response) {
	count := uint32(min(p.Number, 1<<32-1))
	switch {
	case p.Is("EXISTS"):
		c.exists(count)
	case p.Is("EXPUNGE"):
		c.view.expunged(count)
	case p.Is("VANISHED"):
		c.view.vanished(p)
	case p.Is("CAPABILITY"):
		c.caps = capabilities{}
		p.Words(func(word []byte) bool { c.caps.add(word); return true })
	case p.Is("OK"), p.Is("NO"), p.Is("BAD"):
		if status := p.Status(); !p.Is("OK") || status.HasCode("ALERT") {
			c.words = c.plain(withCode(status))
		}
	case !known(p):
		c.skipped(oddUnknown, p)
	}
	if p.Cut {
		c.skipped(oddLong, p)
	}
}

// known tells whether a response is one that is of no interest, or an answer's.
func known(p *wire.Response) bool {
	return slices.ContainsFunc([]string{
		"FETCH", "RECENT", "FLAGS", "STATUS", "SEARCH", "ESEARCH", "ID", "LIST", "LSUB", "ENABLED", "NAMESPACE", "PREAUTH",
	}, p.Is)
}

// exists takes the number of mails there are.
func (c *conn) exists(count uint32) {
	grown, same := count > c.view.exists, count == c.view.exists
	waiting := c.step == stepWaiting
	if waiting && grown {
		c.host.showsNewMail.Store(true)
	}
	c.view.counted(count)
	switch {
	case c.step == stepExamine || c.step == stepSelect:
	case waiting, grown:
		c.notice()
	case same && !c.echoed: // a mail gone and another come, or a mail store that repeats itself
		c.echoed = true
		c.notice()
	}
}

// notice tells that the folder changed: a flood of words is one word.
func (c *conn) notice() {
	now := time.Now()
	switch {
	case c.hushed:
		if c.heard.IsZero() {
			c.heard = now
		}
	case !c.announced:
		c.announced = true
		c.notify.Noticed(now)
	}
}
