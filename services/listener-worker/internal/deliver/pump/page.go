// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pump

import (
	"time"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/mailbox"
	"mailpush.internal/services/listener-worker/internal/transport"
)

// tally is what a turn in MODE_LATEST remembers of the pages it has read.
type tally struct {
	upto   uint32 // the last UID read
	count  int
	newest mailbox.Mail
}

// count adds a page to the tally, and sends once everything pending is counted.
func (p *Pump) count(mails []mailbox.Mail, upto uint32, now time.Time) []Effect {
	place := p.place()
	if p.tally == nil {
		p.tally = &tally{upto: place.UID}
	}
	t := p.tally
	seen := inRange(mails, t.upto+1, upto)
	if len(seen) > 0 {
		t.newest = seen[len(seen)-1]
	}
	t.count += len(seen)
	t.upto = upto
	end := min(p.gathering.goal, p.head)
	if p.pinned != 0 {
		end = p.pinned
	}
	switch {
	case upto < end:
		return p.fetch(upto+1, now)
	case t.count == 0:
		return p.vanished(upto, now)
	}
	return p.send(transport.Batch{
		UIDValidity: place.UIDValidity, From: place.UID + 1, Upto: upto,
		Mails: []mailbox.Mail{t.newest}, Count: t.count,
	})
}

// page is what a turn in mailv1.Mode_MODE_EACH has yet to send.
type page struct {
	mails []mailbox.Mail // ascending by UID
	upto  uint32         // the last UID they speak for
}

// fits tells whether the page goes on where the cursor is.
func (g *page) fits(p *Pump) bool {
	return g != nil && p.mode == mailv1.Mode_MODE_EACH && len(g.mails) > 0 && g.mails[0].UID > p.cursor.UID
}

// forget drops what was read beyond the end of the folder: it is not there any more.
func (p *Pump) forget(end uint32) {
	if p.tally != nil && p.tally.upto > end {
		p.tally = nil
	}
	if p.page != nil && p.page.upto > end {
		p.page = nil
	}
	if p.doubt != nil && p.doubt.last() > end {
		p.dismiss()
	}
}

// sendNext sends the first mail of the page by itself.
func (p *Pump) sendNext() []Effect {
	mail, upto := p.page.mails[:1:1], p.page.upto
	p.page.mails = p.page.mails[1:]
	if len(p.page.mails) > 0 {
		upto = mail[0].UID
	}
	place := p.place()
	return p.send(transport.Batch{
		UIDValidity: place.UIDValidity, From: place.UID + 1, Upto: upto,
		Mails: mail, Count: 1,
	})
}
