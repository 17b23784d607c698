// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package pump moves one subscription's cursor through one folder: it decides when
// to read the mailbox, what to send, and how far the endpoint has been served.
//
// It is pure: Step takes an event and the time and returns effects for package
// deliver to carry out. The mailbox is the log; a pump remembers numbers, never
// mails, and a failing endpoint costs it one cursor and one timer.
//
// Invariants: the cursor moves over a mail only when the endpoint has accepted it or
// the mail has left the folder; one request is in flight at most; UIDs are sent in
// ascending order; a range that was refused is tried again as the same range, so that
// its id stays the same.
package pump

import "time"

// Cursor is how far a subscription has been served in a folder.
type Cursor struct {
	UIDValidity uint32 // zero: unset
	UID         uint32 // the last UID served
}

// Pump is the state of one (subscription, folder). It is not safe for concurrent use.
type Pump struct {
	policy  *Policy
	options Options
	phase   phase
	cursor  Cursor
	head    uint32 // the folder's last UID, under the UIDVALIDITY of base()
	unread  uint32

	// reset is owed when the folder was renumbered; the cursor then goes to target.
	reset  bool
	target Cursor

	sending  span      // the batch in flight
	pinned   uint32    // the end of a refused range that must be tried again as it was
	failures int       // of the endpoint, in a row
	misses   int       // of the mailbox, in a row
	deadline time.Time // end of the wait, or of the patience with a fetch

	noticed, latest time.Time // when the oldest and the newest pending mail were noticed
}

// span is a batch without its mails.
type span struct {
	kind        Kind
	uidValidity uint32
	from, upto  uint32
}

type phase int

const (
	idle     phase = iota // nothing to do
	queued                // asked for a turn
	fetching              // has the turn, reads the mailbox
	sending               // has the turn, waits for the endpoint
	waiting               // stays away until deadline
)

// New makes a pump that continues at cursor. With an unset cursor it begins at the
// end of the folder, wherever that is when the folder first shows itself.
func New(policy *Policy, cursor Cursor, options Options) *Pump {
	return &Pump{policy: policy, cursor: cursor, options: options}
}

// NewPolicy fills in what a policy leaves out.
func NewPolicy(policy Policy) *Policy {
	policy = withDefaults(policy)
	return &policy
}

// Cursor is how far the endpoint has been served.
func (p *Pump) Cursor() Cursor { return p.cursor }

// InFlight tells whether a request is with the endpoint.
func (p *Pump) InFlight() bool { return p.phase == sending }

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
	case Tick:
		out = p.tick(now)
	case Renewed:
		p.failures = 0
		if p.phase == waiting {
			p.phase = idle
		}
	}
	return append(out, p.advance()...)
}

// base is the cursor that the folder's numbering is compared with.
func (p *Pump) base() Cursor {
	if p.reset {
		return p.target
	}
	return p.cursor
}

// pending tells whether there is something to send.
func (p *Pump) pending() bool { return p.reset || p.head > p.cursor.UID }

// advance asks for a turn when there is something to send and nothing in the way.
func (p *Pump) advance() []Effect {
	if p.phase != idle || !p.pending() {
		return nil
	}
	p.phase = queued
	return []Effect{Ready{}}
}

// turn begins one batch.
func (p *Pump) turn(now time.Time) []Effect {
	switch {
	case p.phase != queued:
		return []Effect{Done{}}
	case p.reset:
		return p.send(p.resetBatch())
	case !p.pending(): // the folder's end went back
		p.phase = idle
		return []Effect{Done{}}
	}
	p.phase = fetching
	p.deadline = now.Add(p.policy.FetchTimeout)
	return []Effect{Fetch{From: p.cursor.UID + 1}, Wait{Until: p.deadline}}
}

// tick ends a wait, or the patience with a mailbox that does not answer.
func (p *Pump) tick(now time.Time) []Effect {
	switch {
	case now.Before(p.deadline):
		return nil
	case p.phase == waiting:
		p.phase = idle
	case p.phase == fetching:
		return p.unreadable(now)
	}
	return nil
}
