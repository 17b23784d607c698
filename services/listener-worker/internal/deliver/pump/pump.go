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
// mail has left the folder, or it is told as a dead letter; that takes evidence that the
// mail is at fault and not the endpoint, see doubt; nothing is sent before the
// endpoint has said that it wants pushes; one request is in flight at most; UIDs are
// sent in ascending order, but for what is behind a mail in doubt; a range that was not
// accepted is tried again as the same range, so that its id stays the same, unless it must
// be halved to find what is refused in it.
package pump

import (
	"time"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/mailbox"
	"mailpush.internal/services/listener-worker/internal/moment"
)

// Pump is the state of one (subscription, folder). It is not safe for concurrent use.
// There is one for every subscription, and most have nothing to do: it is kept small.
type Pump struct {
	policy *Policy
	tally  *tally // what the turn has read, in MODE_LATEST
	page   *page  // what the turn has yet to send, in mailv1.Mode_MODE_EACH

	mode      mailv1.Mode
	phase     phase
	confirmed bool // the endpoint wants pushes
	seen      bool // the folder has shown itself
	replaced  bool // the endpoint was, since what is in flight was asked

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
	tries       int32  // of that range, or of the reset, in vain
	limit       int32  // most mails of one batch; fewer after one was refused for good
	refusedUpto uint32 // the end of the last one that was; up to here the limit stays
	misses      int32  // of the mailbox, in a row

	doubt     *doubt // nil while nothing is refused by itself
	gathering gathering
	health    *health    // nil while the endpoint is well
	hindered  *hindrance // nil when the last request could be made

	deadline  moment.Moment // end of the wait, or of the patience with a fetch
	notBefore moment.Moment // until when the endpoint has asked to be left alone
	pushed    moment.Moment // when something was accepted last; zero: nothing yet

	noticed     *noticed     // nil while nothing is pending
	unannounced *Unannounced // what there is no push for; nil when one was accepted since
}

// noticed is when pending mails were noticed. Pushes tell it, the same on every try: it is
// no moment, whose reading of the wall clock may be another each time.
type noticed struct {
	oldest time.Time // the oldest of them
	beyond time.Time // the first beyond the goal
}

// hindrance is what keeps requests from being made.
type hindrance struct {
	times  int    // in a row
	reason string // of the last
}

type phase uint8

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
	p := &Pump{
		policy: policy, cursor: cursor, limit: MaxMails,
		mode: modeOf(options.Mode), confirmed: options.Confirmed,
	}
	if !options.FailingSince.IsZero() || !options.Absence.Since.IsZero() {
		p.health = &health{since: options.FailingSince, known: true}
	}
	if !options.Absence.Since.IsZero() {
		p.health.absence = &absence{Absence: options.Absence}
	}
	return p
}

// NewPolicy fills in what a policy leaves out.
func NewPolicy(policy Policy) *Policy {
	policy = withDefaults(policy)
	return &policy
}

// InFlight tells whether a request is with the endpoint.
func (p *Pump) InFlight() bool { return p.phase == sending || p.phase == pinging }

// Reads tells whether mails that are read now serve it: it waits for them, or for the turn
// to ask for them.
func (p *Pump) Reads() bool {
	barred := p.health != nil && p.health.barred
	return p.phase == fetching || p.phase == queued && p.confirmed && !p.reset && !barred
}

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
	out = append(out, p.advance(now)...)
	if !p.pending() {
		p.noticed = nil
	}
	if p.unannounced != nil && p.unannounced.At.IsZero() {
		p.unannounced.At = now
	}
	return out
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
	case p.confirmed && moment.Of(now) < p.gathering.until:
		p.phase, p.deadline = waitMore, p.gathering.until
		return []Effect{Wait{Until: p.deadline.Time(now)}}
	}
	p.phase = queued
	return []Effect{Ready{}}
}

// turn begins one batch.
func (p *Pump) turn(now time.Time) []Effect {
	if p.health != nil {
		p.health.barred = false
	}
	switch {
	case p.phase != queued:
		return []Effect{Done{}}
	case !p.confirmed:
		p.phase, p.misses = pinging, 0
		return []Effect{Ping{}}
	case !p.pending(): // the folder's end went back
		return p.finish()
	case p.doubt != nil:
		return p.look(now)
	case p.reset:
		return p.sendReset()
	}
	p.gathering.aim(p.cursor.UID, p.head)
	p.tally, p.page = nil, nil
	return p.fetch(p.cursor.UID+1, now)
}

// tick ends a wait, or the patience with a mailbox that does not answer.
func (p *Pump) tick(now time.Time) []Effect {
	switch {
	case moment.Of(now) < p.deadline:
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
	p.health = p.health.forget()
	p.gathering.close()
	if p.doubt != nil || p.mode != mode {
		p.dismiss()
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
	p.phase, p.tally, p.page = idle, nil, nil
	return []Effect{Done{}}
}

// away gives the turn back and waits before the next one.
func (p *Pump) away(wait time.Duration, now time.Time) []Effect {
	out := p.finish()
	if p.doubt != nil {
		p.doubt.at = 0 // what was refused first comes first
	}
	until := now.Add(wait)
	p.phase, p.deadline = waiting, moment.Of(until)
	return append(out, Wait{Until: until})
}

// unpin forgets that a range has been tried.
func (p *Pump) unpin() { p.pinned, p.tries = 0, 0 }
