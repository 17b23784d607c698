// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package imap

import (
	"fmt"
	"math"
	"strings"

	"mailpush.internal/services/listener-worker/internal/imap/internal/wire"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

const statusCommand = "STATUS " + mailbox.Inbox + " (UIDNEXT UIDVALIDITY UNSEEN)"

func (e end) told() mailbox.End {
	return mailbox.End{Folder: mailbox.Inbox, UIDValidity: e.validity, UIDNext: e.next, Unseen: e.unseen}
}

// uid reads a UID; what is above all UIDs is the last one.
func uid(digits []byte) uint32 {
	n, _ := wire.Number(digits)
	return uint32(min(n, math.MaxUint32))
}

// uidValidity refuses one that cannot be compared with what is stored.
func uidValidity(n uint64) (uint32, *mailbox.Failure) {
	if n > math.MaxUint32 {
		return 0, &mailbox.Failure{
			Class: mailbox.ClassGarbage, Reason: fmt.Sprintf("mail store's UIDVALIDITY %d is over 32 bits", n),
		}
	}
	return uint32(n), nil
}

// status asks where the folder ends, by the last of the commands. STATUS of the
// open folder is discouraged (RFC 9051 section 6.3.11) but is the one cheap command that
// tells; where it is refused or tells nothing the folder is opened again.
func (c *conn) status(commands ...*command) *mailbox.Failure {
	if c.noStatus {
		return c.statusByOpening(commands[:len(commands)-1]...)
	}
	c.begin(stepStatus, smallAnswer)
	var data wire.StatusData
	told := false
	asked := commands[len(commands)-1]
	err := c.ask(func(p *wire.Response) {
		if !p.Is("STATUS") {
			return
		}
		if s := p.StatusData(); strings.EqualFold(string(s.Folder), mailbox.Inbox) && (s.HasUIDNext || s.HasUIDValidity) {
			data, told = s, true
			c.hushed = false // what comes from here on may be too late for this look
		}
	}, commands...)
	c.hushed = false
	switch {
	case err != nil:
		return c.classify(err)
	case asked.err != nil, !told, !data.HasUIDNext:
		c.noStatus = true
		return c.statusByOpening()
	}
	validity := uint64(c.end.validity)
	if data.HasUIDValidity {
		validity = data.UIDValidity
	}
	known, failure := uidValidity(validity)
	if failure != nil {
		return failure
	}
	c.end = end{known, uint32(min(data.UIDNext, math.MaxUint32)), uint32(min(data.Unseen, math.MaxUint32))}
	return c.checkEnd()
}

// statusByOpening opens the folder again instead.
func (c *conn) statusByOpening(commands ...*command) *mailbox.Failure {
	if failure := c.examine(commands...); failure != nil {
		return failure
	}
	c.hushed = false
	if c.end.next == 0 {
		if failure := c.endByFetch(); failure != nil {
			return failure
		}
	}
	return c.checkEnd()
}

// endByFetch finds the end of the folder by its last mail, where the mail store does not
// tell UIDNEXT (RFC 3501 does not make it).
func (c *conn) endByFetch() *mailbox.Failure {
	if c.view.exists == 0 {
		c.end.next = 1
		return nil
	}
	last, failure := c.uidOf(c.view.exists)
	if failure != nil || last == 0 {
		return failure
	}
	c.end.next = uint32(min(uint64(last)+1, math.MaxUint32))
	return nil
}

// checkEnd refuses a folder whose end cannot be compared.
func (c *conn) checkEnd() *mailbox.Failure {
	if c.end.next == 0 || c.end.validity == 0 {
		return &mailbox.Failure{Class: mailbox.ClassGarbage, Reason: "mail store does not tell UIDNEXT and UIDVALIDITY of the folder"}
	}
	return nil
}
