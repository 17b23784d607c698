// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pump

import (
	"time"

	"mailpush.internal/services/listener-worker/internal/mailbox"
	"mailpush.internal/services/listener-worker/internal/moment"
	"mailpush.internal/services/listener-worker/internal/transport"
)

const (
	// leastTries is how often an item must have been refused for good to be stepped over.
	leastTries = 3
	// mostSuspects bounds how many items in a row may be under suspicion at a time.
	mostSuspects = 5
)

// doubt is held while the endpoint refuses an item for good, and it is open whether the
// item is at fault or the endpoint, which may refuse everything.
//
// An item is a mail by itself, a push of the latest, or a reset. The cursor stays before
// the first that is refused, and that is tried again and again, for it must come before
// what is behind it. Once it has been refused often and long enough, each such try is
// followed by one of the item behind it, to see whether the endpoint takes that. It does:
// then those before it are tried a last time, and what is refused again is stepped over.
// It does not: then it is under suspicion as well, or the endpoint is at fault, and
// nothing happens. Each try is a turn of its own, for a turn reads before it sends.
//
// So order holds but for this: an endpoint that has refused an item for minutes, and
// accepts it at the last try, a moment after one behind it. The other way would be to lose
// it.
type doubt struct {
	suspects []suspect     // ascending; the cursor is before the first
	at       int           // which of them is tried; len(suspects): what is behind them
	empty    uint32        // behind them there is no mail up to here
	pause    time.Duration // until the next turn, as of the last refusal
	proof    *span         // what was accepted behind them
}

// suspect is an item that was not accepted, and what there is against it.
type suspect struct {
	span

	since    moment.Moment // of the first refusal; zero: none
	tries    int32         // in vain, of whatever kind
	refusals int32
}

// settled tells whether one has been refused so often and long that it is at fault if
// the endpoint accepts another.
func (s suspect) settled(policy *Policy, now time.Time) bool {
	return s.refusals >= leastTries && moment.Of(now).Sub(s.since) >= policy.RefusedFor
}

// hopeless tells whether one is stepped over whatever becomes of others.
func (s suspect) hopeless(policy *Policy, now time.Time) bool {
	return s.refusals >= leastTries && moment.Of(now).Sub(s.since) >= policy.RefusedLong
}

// behind tells whether the cursor has passed the item.
func (s suspect) behind(cursor mailbox.Cursor) bool {
	return s.uidValidity == cursor.UIDValidity && s.upto <= cursor.UID
}

// last is the UID of the last item that anything is known of.
func (d *doubt) last() uint32 {
	if d.proof != nil {
		return d.proof.upto
	}
	return d.suspects[len(d.suspects)-1].upto
}

// tried notes that the item the turn is at was not accepted. What is another one than
// before, for the folder has changed, has nothing against it yet.
func (d *doubt) tried(what span, tries int32) {
	if d.at == len(d.suspects) || !d.suspects[d.at].is(what) {
		d.suspects = append(d.suspects[:d.at], suspect{span: what})
	}
	d.suspects[d.at].tries = tries
}

// is tells whether the suspect is what was sent.
func (s suspect) is(what span) bool {
	return s.reset == what.reset && s.uidValidity == what.uidValidity && s.from == what.from && s.upto == what.upto
}

// follows tells whether the suspect is what comes after a cursor.
func (s suspect) follows(cursor mailbox.Cursor) bool {
	return !s.reset && s.uidValidity == cursor.UIDValidity && s.from == cursor.UID+1
}

// refused notes that it was refused for good.
func (d *doubt) refused(now time.Time) {
	s := &d.suspects[d.at]
	if s.refusals++; s.since.IsZero() {
		s.since = moment.Of(now)
	}
}

// suspected takes in that an item was refused for good, by itself.
func (p *Pump) suspected(result transport.Result, now time.Time) []Effect {
	if p.changed() {
		p.dismiss()
		return p.failed(result, now)
	}
	if p.doubt == nil {
		p.doubt = new(doubt)
		p.doubt.tried(p.sending, p.tries)
	}
	d := p.doubt
	d.refused(now)
	out := p.ill().failed(p.policy, result, now)
	p.notBefore = moment.Of(now.Add(p.policy.after(result)))
	d.pause = p.pause(result, now)
	switch {
	case d.at == 0 && (d.proof != nil || d.suspects[0].hopeless(p.policy, now)):
		return p.passed(append(out, p.skip(), p.pass()))
	case result.After == 0 && d.next(p.policy, p.head, now):
		d.at++
		return append(out, p.finish()...)
	}
	return append(out, p.away(d.pause, now)...)
}

// pause is how long to stay away after a refusal: as after any failure, but no longer
// than until the evidence against the last suspect can be complete.
func (p *Pump) pause(result transport.Result, now time.Time) time.Duration {
	wait := p.policy.wait(result, p.health.failures)
	last := p.doubt.suspects[len(p.doubt.suspects)-1]
	if last.settled(p.policy, now) || result.After > 0 {
		return wait
	}
	most := p.policy.RefusedFor / (leastTries - 1)
	if left := p.policy.RefusedFor - moment.Of(now).Sub(last.since); left > 0 && !last.since.IsZero() {
		most = min(most, left)
	}
	return min(wait, most)
}

// changed tells whether the folder was, so that what was sent is not what it would be now.
func (p *Pump) changed() bool {
	if p.sending.reset {
		return p.sending.upto != p.target.UID
	}
	return p.sending.end < p.sending.upto
}

// next tells whether there is something to put to the test after the item that was refused
// just now: if it is at fault should another be accepted, the next suspect or what is
// behind them all. They are tried in their order, each time from the first on, so that an
// endpoint that takes everything again gets it in order.
func (d *doubt) next(policy *Policy, head uint32, now time.Time) bool {
	count := len(d.suspects)
	switch {
	case !d.suspects[d.at].settled(policy, now):
		return false
	case d.at+1 < count:
		return true
	}
	return count < mostSuspects && head > d.suspects[d.at].upto
}

// look begins a turn with the suspect that is to be tried, or with what is behind them.
func (p *Pump) look(now time.Time) []Effect {
	d := p.doubt
	d.empty, p.tally, p.page = 0, nil, nil
	p.unpin()
	if d.at < len(d.suspects) {
		s := d.suspects[d.at]
		if p.tries = s.tries; !s.reset {
			p.pinned = s.upto
		}
	}
	if d.at == 0 && p.reset {
		return p.sendReset()
	}
	p.gathering.aim(p.place().UID, p.head)
	return p.fetch(p.next(), now)
}

// ahead tells whether something behind the first suspect is tried.
func (p *Pump) ahead() bool { return p.doubt != nil && p.doubt.at > 0 }

// place is what the turn goes on behind: the cursor, or a suspect.
func (p *Pump) place() mailbox.Cursor {
	if !p.ahead() {
		return p.cursor
	}
	before := p.doubt.suspects[p.doubt.at-1]
	return mailbox.Cursor{UIDValidity: before.uidValidity, UID: before.upto}
}

// most is how many mails a batch may have: while there is doubt, each goes by itself.
func (p *Pump) most() int {
	if p.doubt != nil {
		return 1
	}
	return int(p.limit)
}

// proved takes in that the endpoint has accepted something behind suspects: they are
// tried a last time.
func (p *Pump) proved() []Effect {
	d := p.doubt
	if d == nil || p.changed() {
		p.dismiss()
		return p.finish()
	}
	proof := p.sending
	d.proof, d.suspects, d.at = &proof, d.suspects[:d.at], 0
	return p.finish()
}

// passed ends the turn after the cursor has moved, and has it move on over what was
// accepted behind the suspects when there are none any more.
func (p *Pump) passed(out []Effect) []Effect {
	d := p.doubt
	if d == nil {
		return append(out, p.finish()...)
	}
	d.at = 0
	for len(d.suspects) > 0 && d.suspects[0].behind(p.cursor) {
		d.suspects = d.suspects[1:]
	}
	switch {
	case len(d.suspects) == 0:
		p.doubt = nil
		if d.proof != nil {
			p.sending = *d.proof
			out = append(out, p.pass())
		}
	case !d.suspects[0].follows(p.cursor): // the folder has changed
		p.dismiss()
	}
	return append(out, p.finish()...)
}

// nothing takes in that there is no mail behind the suspects up to a UID, and reads on. A
// suspect that is not there any more is forgotten with those behind it.
func (p *Pump) nothing(upto uint32, now time.Time) []Effect {
	d := p.doubt
	d.suspects = d.suspects[:d.at]
	p.unpin()
	if upto >= p.head {
		return p.away(d.pause, now)
	}
	d.empty, p.tally, p.page = upto, nil, nil
	return p.fetch(p.next(), now)
}

// dismiss forgets what there is against items, which loses time and nothing else.
func (p *Pump) dismiss() {
	p.doubt = nil
	p.unpin()
}
