// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package imap

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"mailpush.internal/services/listener-worker/internal/imap/internal/wire"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// maxQuestions is how often one read asks, at most, for mails that do not come at once.
const maxQuestions = 40

// reading is one read of a range of UIDs.
type reading struct {
	c         *conn
	want      mailbox.Range
	upto      uint32  // as far as was asked
	found     []found // by ascending UID, each once
	questions int
}

// Fetch implements [listen.Reader].
func (c *conn) Fetch(want mailbox.Range) (mailbox.Reading, error) {
	c.wake()
	defer c.rest()
	r := &reading{c: c, want: want}
	if failure := r.read(); failure != nil {
		return mailbox.Reading{}, failure
	}
	result, failure := r.judge()
	if failure != nil {
		return mailbox.Reading{}, failure
	}
	return result, nil
}

// read reads the range, or its first mails.
func (r *reading) read() *mailbox.Failure {
	if skip := r.want.Skip; skip != 0 {
		return r.readUpto(skip)
	}
	most := min(mailbox.MaxMails, cmp.Or(r.want.Most, mailbox.MaxMails))
	first, last := r.want.From, r.want.Upto
	if uint64(last)-uint64(first) >= uint64(most) {
		var failure *mailbox.Failure
		if first, last, failure = r.c.firstOf(first, last, most); failure != nil {
			return failure
		}
	}
	if first == 0 { // no mail at all, or so it says
		first, last = r.firstByNumber(most, last)
	}
	if r.c.failed != nil {
		return r.c.classify(r.c.failed)
	}
	r.upto = last
	if first == 0 {
		return nil
	}
	return r.readRange(first, last)
}

// readUpto reads the mails before one that is not asked for.
func (r *reading) readUpto(skip uint32) *mailbox.Failure {
	r.upto = skip
	r.want.Known = max(r.want.Known, skip)
	if r.want.From < skip {
		first, last, failure := r.c.firstOf(r.want.From, skip-1, mailbox.MaxMails)
		if failure == nil && first != 0 {
			failure = r.readRange(first, last)
		}
		if failure != nil {
			return failure
		}
		if last < skip-1 { // too many for one read
			r.upto = last
			return nil
		}
	}
	r.add(found{mail: mailbox.Mail{UID: skip}, damaged: true})
	return nil
}

// readRange reads a range with few mails in it.
func (r *reading) readRange(first, last uint32) *mailbox.Failure {
	refused, odd, failure := r.ask(part{first: first, last: last})
	if failure != nil || !refused && !odd {
		return failure
	}
	return r.mend(first, last, refused)
}

// part is a set of UIDs: a range, or those in the list.
type part struct {
	first, last uint32
	list        []uint32
}

func partOf(list []uint32) part { return part{list[0], list[len(list)-1], list} }

func (p part) set() string {
	switch {
	case p.list != nil:
		return setOf(p.list)
	case p.first == p.last:
		return fmt.Sprint(p.first)
	default:
		return fmt.Sprintf("%d:%d", p.first, p.last)
	}
}

// ask reads a part and takes in what is shown. refused means that the mail store did not
// answer it, odd that something is missing of what it showed.
func (r *reading) ask(p part) (refused, odd bool, failure *mailbox.Failure) {
	a, err, failure := r.c.fetch(p, waysToAsk(r.want.Detail)[0])
	if failure != nil {
		return false, false, failure
	}
	odd = a.nameless() > 0 || r.silent(a)
	for _, m := range a.mails {
		odd = odd || !r.suffices(m)
		r.add(m)
	}
	return err != nil, odd, nil
}

// silent tells whether an answer may have shown a mail without a word of what was asked
// for: where that is the UID alone, it looks like a change of flags.
func (r *reading) silent(a *answer) bool { return r.want.Detail == mailbox.UIDs && a.mute > 0 }

// suffices tells whether all that is wanted of a mail was shown.
func (r *reading) suffices(m found) bool {
	return m.whole || r.want.Detail == mailbox.UIDs && !m.damaged
}

// fetch sends one FETCH.
func (c *conn) fetch(p part, items string) (*answer, *statusError, *mailbox.Failure) {
	c.begin(stepFetch, largeAnswer)
	if c.single = 0; p.first == p.last {
		c.single = p.first
	}
	a := &answer{from: p.first, upto: p.last}
	cmd := &command{text: "UID FETCH " + p.set() + " " + items}
	err := c.ask(func(p *wire.Response) { a.take(p) }, cmd)
	if err != nil {
		return nil, nil, c.classify(err)
	}
	return a, cmd.err, nil
}

// add takes a mail in, or more of one that was seen before.
func (r *reading) add(m found) {
	m.whole = r.suffices(m)
	at, seen := slices.BinarySearchFunc(r.found, m.mail.UID, func(f found, uid uint32) int { return cmp.Compare(f.mail.UID, uid) })
	if !seen {
		r.found = slices.Insert(r.found, at, m)
		return
	}
	old := &r.found[at]
	if m.seq != 0 {
		old.seq = m.seq
	}
	if m.whole && !old.whole {
		m.seq = old.seq
		*old = m
		return
	}
	if old.mail.Size == 0 {
		old.mail.Size = m.mail.Size
	}
	if old.mail.ReceivedAt.IsZero() {
		old.mail.ReceivedAt = m.mail.ReceivedAt
	}
	old.damaged = old.damaged || m.damaged
}

// settled tells whether nothing more can be asked of a mail.
func (r *reading) settled(uid uint32) bool {
	at, seen := slices.BinarySearchFunc(r.found, uid, func(f found, uid uint32) int { return cmp.Compare(f.mail.UID, uid) })
	return seen && (r.found[at].whole || r.found[at].damaged)
}

// mend asks for what is missing in halves, down to the mail: the damage of one mail is
// that one's. What was shown whole counts, however the answer ended.
func (r *reading) mend(first, last uint32, refused bool) *mailbox.Failure {
	uids, reach, unsearched, failure := r.c.search(first, last, mailbox.MaxMails)
	if failure != nil {
		return failure
	}
	r.upto = min(r.upto, reach)
	var parts []part // the lowest at the end
	if unsearched && (refused || first == last) {
		parts = []part{{first: first, last: last}}
	} else {
		for _, m := range r.found {
			if m.mail.UID >= first && m.mail.UID <= r.upto {
				uids = append(uids, m.mail.UID)
			}
		}
		slices.Sort(uids)
		parts = r.missing(slices.Compact(uids))
	}
	for halve := true; len(parts) > 0; halve = false {
		p := parts[len(parts)-1]
		parts = parts[:len(parts)-1]
		if r.questions++; r.questions > maxQuestions || time.Until(r.c.until) < r.c.timeout {
			r.upto = p.first - 1
			return nil
		}
		switch {
		case p.first == p.last:
			failure = r.askAlone(p.first)
		case halve: // it was asked for already
			parts = append(parts, r.halves(p)...)
		default:
			var more []part
			more, failure = r.askPart(p)
			parts = append(parts, more...)
		}
		if failure != nil {
			return failure
		}
	}
	return nil
}

// askPart asks for a part again and returns what is to be asked for of it.
func (r *reading) askPart(p part) ([]part, *mailbox.Failure) {
	refused, odd, failure := r.ask(p)
	switch {
	case failure != nil:
		return nil, failure
	case !refused && !odd:
		return nil, nil
	case p.list != nil:
		left := r.missing(p.list)
		if len(left) == 0 {
			return nil, nil
		}
		return r.halves(left[0]), nil
	default:
		return r.halves(p), nil
	}
}

// missing is what is to be asked for of a list.
func (r *reading) missing(uids []uint32) []part {
	left := slices.DeleteFunc(slices.Clone(uids), r.settled)
	if len(left) == 0 {
		return nil
	}
	return []part{partOf(left)}
}

// halves cuts a part in two, the lower one last.
func (r *reading) halves(p part) []part {
	switch {
	case p.first == p.last:
		return []part{p}
	case p.list != nil:
		middle := len(p.list) / 2
		return []part{partOf(p.list[middle:]), partOf(p.list[:middle])}
	default:
		middle := p.first + (p.last-p.first)/2
		return []part{{first: middle + 1, last: p.last}, {first: p.first, last: middle}}
	}
}

// askAlone asks for one mail, in other ways when it is not shown whole, and for less.
func (r *reading) askAlone(uid uint32) *mailbox.Failure {
	p := part{first: uid, last: uid}
	damage := false
	for _, items := range waysToAsk(r.want.Detail) {
		a, err, failure := r.c.fetch(p, items)
		if failure != nil {
			return failure
		}
		damage = damage || err != nil
		_ = a.nameless() // it was asked for alone
		for _, m := range a.mails {
			damage = true
			r.add(m)
		}
		if r.settled(uid) {
			return nil
		}
		if err == nil && len(a.mails) == 0 && !r.silent(a) {
			break // it is not there
		}
	}
	if damage {
		r.add(found{mail: mailbox.Mail{UID: uid}, damaged: true})
	}
	return nil
}
