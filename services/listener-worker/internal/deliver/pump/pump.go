// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package pump moves one subscription's cursor through one folder: it decides when
// to read the mailbox, what to send, and how far the endpoint has been served.
//
// It is pure: Step takes an event and the time and returns effects for package
// deliver to carry out. The mailbox is the log; a pump remembers numbers, never
// mails, and a failing endpoint costs it one cursor and one timer. Only while it has
// the turn does it hold mails, those of one batch at most.
//
// Invariants: the cursor moves over a mail only when the endpoint has accepted it, the
// mail has left the folder, or it is told as a dead letter; nothing is sent before the
// endpoint has said that it wants pushes; one request is in flight at most; UIDs are
// sent in ascending order; a range that was not accepted is tried again as the same
// range, so that its id stays the same, unless it must be halved to find what is
// refused in it.
package pump

import (
	"time"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// Pump is the state of one (subscription, folder). It is not safe for concurrent use.
type Pump struct {
	policy    *Policy
	mode      mailv1.Mode
	confirmed bool // the endpoint wants pushes
	seen      bool // the folder has shown itself
	replaced  bool // the endpoint was, since what is in flight was asked
	phase     phase

	cursor mailbox.Cursor
	head   uint32 // the folder's last UID, under the UIDVALIDITY of base()
	unread uint32

	// reset is owed when the folder was renumbered or its end went back below the
	// cursor; the cursor then goes to target.
	reset  bool
	target mailbox.Cursor

	high uint32 // the cursor before the folder's end went back, under the same UIDVALIDITY
	low  uint32 // what the end went back to last

	sending     span   // what is in flight, or was last
	pinned      uint32 // the end of a range that must be tried again as it was; zero: none
	tries       int    // of that range, or of the reset, in vain
	refusals    int    // how many of the tries were refused for good
	limit       int    // most mails of one batch; fewer after one was refused for good
	refusedUpto uint32 // the end of the last one that was; up to here the limit stays

	tally *tally // what the turn has read, in MODE_LATEST
	page  page   // what the turn has yet to send, in mailv1.Mode_MODE_EACH

	gathering gathering
	health    health

	misses    int       // of the mailbox, in a row
	hindered  int       // requests that could not be made, in a row
	hindrance string    // what kept the last of them
	deadline  time.Time // end of the wait, or of the patience with a fetch
	notBefore time.Time // until when the endpoint has asked to be left alone

	noticed, noticedLater time.Time // when the oldest pending mail, and the first beyond the goal, were noticed
}

type phase int

const (
	idle     phase = iota // nothing to do
	waitMore              // gathers mail until deadline
	queued                // asked for a turn
	fetching              // has the turn, reads the mailbox
	sending               // has the turn, waits for the endpoint
	pinging               // has the turn, waits for the endpoint's consent
	waiting               // stays away until deadline
)

// New makes a pump that continues at cursor. With an unset cursor it begins at the
// end of the folder, wherever that is when the folder first shows itself.
func New(policy *Policy, cursor mailbox.Cursor, options Options) *Pump {
	return &Pump{
		policy: policy, cursor: cursor, limit: MaxMails,
		mode: modeOf(options.Mode), confirmed: options.Confirmed,
		health: health{since: options.FailingSince, known: !options.FailingSince.IsZero()},
	}
}

// NewPolicy fills in what a policy leaves out.
func NewPolicy(policy Policy) *Policy {
	policy = withDefaults(policy)
	return &policy
}

// InFlight tells whether a request is with the endpoint.
func (p *Pump) InFlight() bool { return p.phase == sending || p.phase == pinging }

// Step takes one event at the given time and returns what to do, in order.
func (p *Pump) Step(event Event, now time.Time) []Effect {
	var out []Effect
	switch event := event.(type) {
	case Head:
		out = p.observe(event)
		if p.phase == waiting && p.misses > 0 {
			p.phase = idle // a mailbox that shows itself can be read again
		}
	case Turn:
		out = p.turn(now)
	case Fetched:
		out = p.fetched(event, now)
	case Sent:
		out = p.sent(event.Result, now)
	case Pinged:
		out = p.pinged(event.Result, now)
	case Postponed:
		out = p.postponed()
	case Tick:
		out = p.tick(now)
	case Awake:
		out = p.awake(now)
	case Barred:
		out = p.barred(event.Reason, now)
	case Renewed:
		p.renew(event)
	}
	return append(out, p.advance(now)...)
}

// base is the cursor that the folder's numbering is compared with.
func (p *Pump) base() mailbox.Cursor {
	if p.reset {
		return p.target
	}
	return p.cursor
}

// pending tells whether there is something to send.
func (p *Pump) pending() bool { return p.reset || p.head > p.cursor.UID }

// advance asks for a turn when there is something to do and nothing in the way.
func (p *Pump) advance(now time.Time) []Effect {
	switch {
	case p.phase != idle || !p.seen || p.confirmed && !p.pending():
		return nil
	case p.confirmed && now.Before(p.gathering.until):
		p.phase, p.deadline = waitMore, p.gathering.until
		return []Effect{Wait{Until: p.deadline}}
	}
	p.phase = queued
	return []Effect{Ready{}}
}

// turn begins one batch.
func (p *Pump) turn(now time.Time) []Effect {
	p.health.barred = false
	switch {
	case p.phase != queued:
		return []Effect{Done{}}
	case !p.confirmed:
		p.phase, p.misses = pinging, 0
		return []Effect{Ping{}}
	case p.reset:
		return p.sendReset()
	case !p.pending(): // the folder's end went back
		return p.finish()
	}
	p.gathering.aim(p.cursor.UID, p.head)
	p.tally, p.page = nil, page{}
	return p.fetch(p.cursor.UID+1, now)
}

// tick ends a wait, or the patience with a mailbox that does not answer.
func (p *Pump) tick(now time.Time) []Effect {
	switch {
	case now.Before(p.deadline):
		return nil
	case p.phase == waiting || p.phase == waitMore:
		p.phase = idle
	case p.phase == fetching:
		return p.unreadable(now)
	}
	return nil
}

// renew takes in a subscription that was changed or enabled.
func (p *Pump) renew(event Renewed) {
	mode := modeOf(event.Mode)
	p.replaced = p.InFlight()
	p.health = health{}
	p.gathering.close()
	if p.refusals > 0 || p.mode != mode {
		p.unpin()
		p.tally = nil // the pages are read again
	}
	p.limit, p.refusedUpto = MaxMails, 0
	p.mode, p.confirmed = mode, event.Confirmed
	if p.phase == waiting || p.phase == waitMore {
		p.phase = idle
	}
}

// finish gives the turn back.
func (p *Pump) finish() []Effect {
	p.phase, p.tally, p.page = idle, nil, page{}
	return []Effect{Done{}}
}

// away gives the turn back and waits before the next one.
func (p *Pump) away(wait time.Duration, now time.Time) []Effect {
	out := p.finish()
	p.phase, p.deadline = waiting, now.Add(wait)
	return append(out, Wait{Until: p.deadline})
}

// unpin forgets that a range has been tried.
func (p *Pump) unpin() { p.pinned, p.tries, p.refusals = 0, 0, 0 }
