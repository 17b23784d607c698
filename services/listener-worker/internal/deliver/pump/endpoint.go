// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pump

import (
	"time"

	"mailpush.internal/pkg/backoff"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/mailbox"
	"mailpush.internal/services/listener-worker/internal/moment"
	"mailpush.internal/services/listener-worker/internal/transport"
)

// mostHindered bounds the ceiling of the wait when a request could not be made.
const mostHindered = time.Minute

// span is a batch without its mails.
type span struct {
	reset       bool
	ahead       bool // it is behind something that was refused
	uidValidity uint32
	from, upto  uint32
	mails       int32  // of the batch: what can be told apart
	vanished    uint32 // UIDs of the range without a mail
	end         uint32 // the lowest end of the folder seen since
}

// sendReset sends a reset. One for a folder whose end went back, or came back, carries
// the cursor of then, which tells it from others under the same UIDVALIDITY.
func (p *Pump) sendReset() []Effect {
	batch := transport.Batch{Reset: true, UIDValidity: p.target.UIDValidity, Upto: p.target.UID}
	if p.target.UIDValidity == p.cursor.UIDValidity {
		batch.From = max(p.cursor.UID, 1) // zero is for a new UIDVALIDITY
	}
	return p.send(batch)
}

func (p *Pump) send(batch transport.Batch) []Effect {
	p.phase, p.misses = sending, 0
	p.sending = span{
		reset: batch.Reset, ahead: p.ahead(), uidValidity: batch.UIDValidity, from: batch.From, upto: batch.Upto,
		mails: int32(len(batch.Mails)), end: p.head,
	}
	if !batch.Reset {
		p.pinned = batch.Upto
		p.sending.vanished = gaps(batch.From, batch.Upto, batch.Count)
	}
	batch.Unread, batch.Noticed, batch.Attempt = p.unread, p.notes().oldest, int(p.tries)+1
	return []Effect{Send{batch}}
}

// sent takes in the endpoint's answer.
func (p *Pump) sent(result transport.Result, now time.Time) []Effect {
	if p.phase != sending {
		return nil
	}
	if result.Unmade {
		return p.unmade(result, now)
	}
	p.hindered = nil
	replaced := p.replaced
	p.replaced = false
	p.told(result, now)
	switch {
	case result.Class == transport.OK && replaced: // it says nothing about the endpoint there is now
		return p.accepted(false, now)
	case result.Class == transport.OK:
		recovered := p.health != nil && !p.health.since.IsZero()
		return append(p.succeeded(), p.accepted(recovered, now)...)
	case replaced:
		return p.finish() // the endpoint there is now is tried at once
	}
	if !p.moot() {
		p.tries++
		if p.doubt != nil {
			p.doubt.tried(p.sending, p.tries)
		}
	}
	if result.Class == transport.PermanentItem {
		return p.refused(result, now)
	}
	return p.failed(result, now)
}

// failed stays away from an endpoint that does not accept.
func (p *Pump) failed(result transport.Result, now time.Time) []Effect {
	out := p.ill().failed(p.policy, result, now)
	p.notBefore = moment.Of(now.Add(p.policy.after(result)))
	return append(out, p.away(p.policy.wait(result, p.health.failures), now)...)
}

// moot tells whether what was sent is not owed any more: the folder was renumbered
// meanwhile, or its old numbering has come back.
func (p *Pump) moot() bool {
	switch {
	case p.sending.ahead:
		return p.doubt == nil
	case !p.sending.reset:
		return p.reset
	}
	return !p.reset || p.sending.uidValidity != p.target.UIDValidity
}

// accepted moves the cursor over what was sent, and goes on or gives the turn back.
// What has gathered while the endpoint failed is a backlog, which is sent at once.
func (p *Pump) accepted(recovered bool, now time.Time) []Effect {
	if p.sending.ahead {
		return p.proved()
	}
	if p.sending.upto >= p.refusedUpto {
		p.limit, p.refusedUpto = min(2*p.limit, MaxMails), 0
	}
	if p.sending.reset && p.moot() {
		return p.finish()
	}
	out := []Effect{p.pass()}
	if recovered {
		p.stretch()
	}
	if p.doubt != nil {
		return p.passed(out)
	}
	if !p.reset && p.confirmed && p.page.fits(p) {
		return append(out, p.sendNext()...)
	}
	if p.mode != mailv1.Mode_MODE_EACH && !p.reset && p.cursor.UID >= p.gathering.goal {
		p.gathering.open(p.policy, now)
	}
	return append(out, p.finish()...)
}

// refused takes in that the endpoint says it will never take what was sent. Of several
// mails each half is tried by itself, until the one is found. It could be the endpoint
// that is wrong, and so each try waits for its time.
func (p *Pump) refused(result transport.Result, now time.Time) []Effect {
	switch {
	case p.moot():
		p.unpin()
		return p.finish()
	case p.sending.mails > 1:
		p.limit, p.refusedUpto = p.sending.mails/2, p.sending.upto
		p.unpin()
		return p.failed(result, now)
	}
	return p.suspected(result, now)
}

// skip makes a dead letter of what was sent.
func (p *Pump) skip() Effect {
	if p.sending.reset {
		return Skip{UIDValidity: p.target.UIDValidity, Upto: p.target.UID, Reason: p.health.reason}
	}
	return Skip{UIDValidity: p.sending.uidValidity, From: p.sending.from, Upto: p.sending.upto, Reason: p.health.reason}
}

// pass moves the cursor over what was sent.
func (p *Pump) pass() Effect {
	if !p.sending.reset {
		commit := p.move(p.sending.upto, p.sending.vanished)
		if p.sending.end < p.cursor.UID && !p.reset { // the folder's end went back meanwhile
			p.judge(true, mailbox.Cursor{UIDValidity: p.cursor.UIDValidity, UID: p.sending.end})
		}
		return commit
	}
	before := p.cursor
	rewind := p.target.UIDValidity == p.cursor.UIDValidity
	if ahead, owed := p.aheadOfFolder(); owed {
		p.unannounced = &ahead
	}
	if rewind {
		p.high = max(p.high, p.cursor.UID)
	} else {
		p.high = 0
	}
	p.reset = false
	p.cursor.UIDValidity = p.target.UIDValidity
	commit := p.move(p.target.UID, 0)
	commit.Rewind, commit.ResetFrom = rewind, before
	return commit
}

// move sets the cursor.
func (p *Pump) move(upto, vanished uint32) Commit {
	p.cursor.UID = upto
	p.unpin()
	if upto >= p.gathering.goal {
		p.notes().oldest = p.notes().beyond
	}
	return Commit{Cursor: p.cursor, Vanished: vanished}
}

// stretch has all that is pending sent without a window in between.
func (p *Pump) stretch() {
	if !p.reset {
		p.gathering.goal = max(p.gathering.goal, p.head)
	}
}

// gaps is how many UIDs of a range have no mail.
func gaps(from, upto uint32, mails int) uint32 { return upto - from + 1 - uint32(mails) }

// pinged takes in whether the endpoint wants pushes.
func (p *Pump) pinged(result transport.Result, now time.Time) []Effect {
	if p.phase != pinging {
		return nil
	}
	if result.Unmade {
		return p.unmade(result, now)
	}
	p.hindered = nil
	replaced := p.replaced
	p.replaced = false
	switch {
	case replaced: // the endpoint there is now has not been asked
		return p.finish()
	case result.Class == transport.OK:
		p.confirmed = true
		out := append([]Effect{Confirmed{}}, p.succeeded()...)
		return append(out, p.finish()...)
	}
	return p.failed(result, now)
}

// postponed asks for another turn.
func (p *Pump) postponed() []Effect {
	if !p.InFlight() {
		return nil
	}
	p.unsend()
	return p.finish()
}

// unmade stays away for a while: there is something of ours to mend first.
func (p *Pump) unmade(result transport.Result, now time.Time) []Effect {
	p.unsend()
	if p.hindered == nil {
		p.hindered = new(hindrance)
	}
	p.hindered.times++
	p.hindered.reason = result.Detail
	return p.away(backoff.Backoff{Min: p.policy.Min, Max: mostHindered}.Full(p.hindered.times-1, p.policy.Random()), now)
}

// unsend takes in that a request has not been made. A range that was never sent may
// still grow.
func (p *Pump) unsend() {
	p.replaced = false
	if p.tries == 0 {
		p.unpin()
	}
}

// barred takes in that the turn is waited for because the origin fails.
func (p *Pump) barred(reason string, now time.Time) []Effect {
	if p.phase != queued {
		return nil
	}
	return p.ill().bar(reason, now)
}

// awake ends the wait for the endpoint, but for what it asked for itself.
func (p *Pump) awake(now time.Time) []Effect {
	if p.phase != waiting || p.misses > 0 {
		return nil
	}
	if moment.Of(now) < p.notBefore {
		p.deadline = min(p.deadline, p.notBefore.Add(backoff.Scale(p.policy.Min, p.policy.Random())))
		return []Effect{Wait{Until: p.deadline.Time(now)}}
	}
	p.phase = idle
	return nil
}
