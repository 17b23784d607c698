// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pump

import (
	"time"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/mailbox"
	"mailpush.internal/services/listener-worker/internal/moment"
	"mailpush.internal/services/listener-worker/internal/transport"
)

// observe takes in where the folder ends.
func (p *Pump) observe(head Head) []Effect {
	if head.UIDNext == 0 || head.UIDValidity == 0 {
		return nil
	}
	p.seen = true
	end := mailbox.Cursor{UIDValidity: head.UIDValidity, UID: head.UIDNext - 1}
	if p.cursor.UIDValidity == 0 {
		p.cursor, p.head, p.unread = end, end.UID, head.Unread
		return []Effect{Commit{Cursor: p.cursor}}
	}
	lost := end.UIDValidity != p.cursor.UIDValidity || end.UID < p.cursor.UID
	if lost && head.Stale {
		return nil
	}
	if !p.pending() {
		p.notes().oldest = head.Noticed
	}
	if lost || end.UID < p.head {
		p.low = end.UID
	}
	p.judge(lost, end)
	p.forget(end.UID)
	if end.UIDValidity == p.sending.uidValidity {
		p.sending.end = min(p.sending.end, end.UID)
	}
	if end.UID > p.head && p.head <= p.gathering.goal {
		p.notes().beyond = head.Noticed
	}
	p.head, p.unread = end.UID, head.Unread
	p.gathering.goal = min(p.gathering.goal, p.head)
	return nil
}

// notes are when pending mails were noticed, for more to be noted.
func (p *Pump) notes() *noticed {
	if p.noticed == nil {
		p.noticed = new(noticed)
	}
	return p.noticed
}

// judge notes whether a reset is owed: for a new UIDVALIDITY (RFC 9051 section 2.3.1.1),
// or for an end below the cursor, which only a broken server shows. Nothing old is
// announced then; one reset tells the client to look for itself.
func (p *Pump) judge(lost bool, end mailbox.Cursor) {
	switch {
	case p.returned(end): // what is above the old cursor is new
		p.owe(mailbox.Cursor{UIDValidity: end.UIDValidity, UID: p.high})
	case !lost && p.reset && p.target.UIDValidity == p.cursor.UIDValidity:
		// The end is above the cursor again: a slip of the server, or that many new
		// mails. The reset is for both; what comes after the cursor is new, unless the
		// end was above the old one meanwhile.
		p.aimAt(mailbox.Cursor{UIDValidity: end.UIDValidity, UID: max(p.cursor.UID, min(p.target.UID, end.UID))})
	case !lost && p.reset: // the UIDVALIDITY has come back
		p.reset = false
		p.dismiss()
	case !lost:
	case !p.reset || end.UIDValidity != p.target.UIDValidity:
		p.owe(end)
	case end.UID < p.target.UID:
		p.aimAt(end)
	}
}

// returned tells whether an end above the old cursor shows the mails of before the
// folder's end went back, which were announced then: a mail store that has answered for
// the wrong folder, or with an old state of it, and is well again. So it is taken when
// more UIDs come at once than came since; else that many mails have come anew.
func (p *Pump) returned(end mailbox.Cursor) bool {
	if end.UIDValidity != p.cursor.UIDValidity || p.cursor.UID >= p.high || end.UID < p.high {
		return false
	}
	known := p.reset && p.target == mailbox.Cursor{UIDValidity: end.UIDValidity, UID: p.high}
	grown := p.base().UIDValidity == end.UIDValidity && 2*uint64(p.head) > uint64(p.high)+uint64(p.low)
	return known || !grown
}

// owe has a reset announced, which takes the cursor to end.
func (p *Pump) owe(end mailbox.Cursor) {
	if !p.reset || end.UIDValidity != p.target.UIDValidity {
		p.reset, p.refusedUpto = true, 0
		p.dismiss()
	}
	p.aimAt(end)
}

// aimAt has a reset take the cursor to end.
func (p *Pump) aimAt(end mailbox.Cursor) {
	if p.doubt != nil && p.target != end {
		p.dismiss()
	}
	p.target, p.gathering.goal = end, end.UID
}

// fetch asks for the mails from a UID on.
func (p *Pump) fetch(from uint32, now time.Time) []Effect {
	p.phase = fetching
	until := now.Add(p.policy.FetchTimeout)
	p.deadline = moment.Of(until)
	return []Effect{Fetch{From: from}, Wait{Until: until}}
}

// next is the UID that the turn has to read next.
func (p *Pump) next() uint32 {
	if p.tally != nil {
		return p.tally.upto + 1
	}
	if p.ahead() {
		return max(p.place().UID, p.doubt.empty) + 1
	}
	return p.cursor.UID + 1
}

// fetched turns mails into a batch.
func (p *Pump) fetched(event Fetched, now time.Time) []Effect {
	if p.phase != fetching {
		return nil
	}
	if event.Failed {
		return p.unreadable(now)
	}
	out := p.observe(event.Head)
	event.Upto = min(event.Upto, p.head)
	if p.pinned > p.head { // the folder's end went back
		p.unpin()
	}
	next := p.next()
	covers := event.From <= next && next <= event.Upto
	switch own := event.From == next; {
	case p.confirmed && p.reset && !p.ahead():
		return append(out, p.sendReset()...)
	case !p.confirmed, !p.pending(): // the endpoint was replaced, or the folder's end went back
		p.misses = 0
		return append(out, p.finish()...)
	case !covers && own:
		return append(out, p.unreadable(now)...) // asking again at once would spin
	case !covers, !own && event.Upto < p.pinned && p.mode != mailv1.Mode_MODE_LATEST:
		// Somebody else's, or one that would cut a pinned range short.
		return append(out, Fetch{From: next})
	}
	if p.misses > 0 {
		p.misses = 0
		p.stretch()
	}
	if p.pinned != 0 {
		event.Upto = min(event.Upto, p.pinned)
	}
	return append(out, p.read(event.Mails, event.Upto, now)...)
}

// read takes the mails up to a UID, from where the turn is or where the last page ended.
func (p *Pump) read(mails []mailbox.Mail, upto uint32, now time.Time) []Effect {
	place := p.place()
	from := place.UID + 1
	switch p.mode {
	case mailv1.Mode_MODE_LATEST:
		return p.count(mails, upto, now)
	case mailv1.Mode_MODE_EACH:
		if fit, last := cut(mails, from, upto, p.most()); len(fit) > 0 {
			p.page = &page{fit, last}
			return p.sendNext()
		}
	case mailv1.Mode_MODE_BATCH, mailv1.Mode_MODE_UNSPECIFIED:
		fit, last := cut(mails, from, upto, p.most())
		if len(fit) > 0 {
			return p.send(transport.Batch{UIDValidity: place.UIDValidity, From: from, Upto: last, Mails: fit, Count: len(fit)})
		}
	}
	return p.vanished(upto, now)
}

// vanished passes over a range without mails.
func (p *Pump) vanished(upto uint32, now time.Time) []Effect {
	if p.ahead() {
		return p.nothing(upto, now)
	}
	p.unannounced = &Unannounced{Reason: MailGone, First: p.cursor.UID + 1, Last: upto}
	commit := p.move(upto, gaps(p.cursor.UID+1, upto, 0))
	return p.passed([]Effect{commit})
}

// unreadable stays away from a mailbox that could not be read.
func (p *Pump) unreadable(now time.Time) []Effect {
	p.misses++
	return p.away(p.policy.wait(transport.Result{Class: transport.Retry}, int(p.misses)), now)
}
