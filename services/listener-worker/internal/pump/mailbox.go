// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pump

import "time"

// observe takes in where the folder ends.
func (p *Pump) observe(head Head) []Effect {
	if head.UIDNext == 0 || head.UIDValidity == 0 {
		return nil
	}
	end := Cursor{UIDValidity: head.UIDValidity, UID: head.UIDNext - 1}
	p.unread = head.Unread
	if p.cursor.UIDValidity == 0 {
		p.cursor, p.head = end, end.UID
		return []Effect{Commit{Cursor: p.cursor}}
	}
	if !p.pending() {
		p.noticed = head.Noticed
	}
	if end.UIDValidity != p.base().UIDValidity {
		p.renumbered(end)
	}
	if end.UID > p.head {
		p.latest = head.Noticed
	}
	p.head = end.UID
	return nil
}

// renumbered notes a new UIDVALIDITY (RFC 9051 section 2.3.1.1): nothing old is
// announced; one reset tells the client to look for itself.
func (p *Pump) renumbered(end Cursor) {
	p.reset = end.UIDValidity != p.cursor.UIDValidity // it may have come back
	p.target = end
	p.pinned = 0
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
	next := p.cursor.UID + 1
	switch covers := event.From <= next && next <= event.Upto; {
	case p.reset:
		return append(out, p.send(p.resetBatch())...)
	case !p.pending(): // the folder's end went back
		p.phase, p.misses = idle, 0
		return append(out, Done{})
	case !covers && event.From == next:
		return append(out, p.unreadable(now)...) // asking again at once would spin
	case !covers: // somebody else's
		return append(out, Fetch{From: next})
	}
	p.misses = 0
	limit := event.Upto
	if p.pinned != 0 {
		limit = min(limit, p.pinned)
	}
	mails, upto := cut(event.Mails, next, limit)
	if len(mails) == 0 {
		return append(out, p.served(upto)...)
	}
	return append(out, p.send(Batch{UIDValidity: p.cursor.UIDValidity, From: next, Upto: upto, Mails: mails})...)
}

// unreadable stays away from a mailbox that could not be read.
func (p *Pump) unreadable(now time.Time) []Effect {
	p.misses++
	return p.away(p.policy.wait(Result{Class: Retry}, p.misses), now)
}
