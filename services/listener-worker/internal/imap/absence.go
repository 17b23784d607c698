// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package imap

import (
	"math"

	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// judge decides how far a range was read: up to the first mail that may be there and was
// not shown, or was not shown whole. Where a mail is missing the range is asked for once
// more after NOOP, which has mails announced that STATUS counts already (RFC 9051 section
// 6.3.11).
func (r *reading) judge() (mailbox.Reading, *mailbox.Failure) {
	gap, failure := r.firstGap(r.want.From)
	if failure == nil && gap != 0 {
		failure = r.lookAgain(gap)
	}
	if failure == nil && gap != 0 { // what was shown before, and is not any more, has gone
		gap, failure = r.firstGap(max(r.want.From, r.c.view.read))
	}
	if failure == nil && gap != 0 && gap <= r.want.Gone {
		r.c.source.metrics.absent.Inc()
		gap, failure = r.firstGap(uint32(min(uint64(r.want.Gone)+1, math.MaxUint32)))
	}
	if failure != nil {
		return mailbox.Reading{}, failure
	}
	return r.result(gap), nil
}

// lookAgain asks once more for what is missing.
func (r *reading) lookAgain(gap uint32) *mailbox.Failure {
	r.c.begin(stepNoop, smallAnswer)
	if err := r.c.ask(nil, &command{text: "NOOP"}); err != nil {
		return r.c.classify(err)
	}
	if uint64(r.upto)-uint64(gap) >= mailbox.MaxMails {
		first, last, failure := r.c.firstOf(gap, r.upto, mailbox.MaxMails)
		if failure != nil || first == 0 {
			return failure
		}
		r.upto, gap = min(r.upto, last), first
	}
	return r.readRange(gap, r.upto)
}

// result takes the mails up to where the doubt begins.
func (r *reading) result(gap uint32) mailbox.Reading {
	out := mailbox.Reading{Upto: r.upto}
	if gap != 0 {
		out.Upto, out.Gap = gap-1, mailbox.Absent
	}
	for _, m := range r.found {
		if m.mail.UID > out.Upto {
			break
		}
		if !m.whole && m.mail.UID > r.want.Known {
			out.Upto, out.Gap = m.mail.UID-1, mailbox.Damaged
			break
		}
		if !m.whole {
			r.c.source.metrics.unreadable.Inc()
		}
		out.Mails = append(out.Mails, m.mail)
	}
	if out.Gap == mailbox.NoGap {
		r.remember()
	}
	if out.Upto >= r.want.From {
		r.c.view.read = max(r.c.view.read, out.Upto+1)
	}
	return out
}

// remember notes that the folder is read so far.
func (r *reading) remember() {
	v := &r.c.view
	if count, known := v.below(r.want.From); len(r.found) == 0 && known {
		v.covered(count, r.upto+1)
	}
	if n := len(r.found); n > 0 && r.found[n-1].seq != 0 {
		v.covered(r.found[n-1].seq, r.upto+1)
	}
}

// firstGap is the first UID that was not shown, without a sign that its mail is gone; 0
// when there is none. The signs are sequence numbers, which leave no room for a mail, and
// how many mails there are. Below a UID none is needed.
func (r *reading) firstGap(from uint32) (uint32, *mailbox.Failure) {
	expected := uint64(from)
	below, known := r.c.view.below(r.want.From) // how many mails have a lower UID
	for _, m := range r.found {
		next := known && m.seq == below+1 || m.seq == 1
		if uint64(m.mail.UID) > expected && !next {
			if known || m.seq == 0 {
				return uint32(expected), nil
			}
			before, failure := r.c.uidOf(m.seq - 1)
			if failure != nil {
				return 0, failure
			}
			if before == 0 || uint64(before) >= expected {
				return uint32(expected), nil
			}
		}
		below, known = m.seq, m.seq != 0
		expected = max(expected, uint64(m.mail.UID)+1)
	}
	if expected > uint64(r.upto) {
		return 0, nil
	}
	return r.tailGap(uint32(expected), below, known)
}

// tailGap is where the end of the range is missing, below which so many mails are.
func (r *reading) tailGap(expected, below uint32, known bool) (uint32, *mailbox.Failure) {
	v := &r.c.view
	if r.upto < r.want.Upto { // only so far was searched
		return 0, nil
	}
	if !known {
		if v.exists > 0 {
			last, failure := r.c.uidOf(v.exists)
			if failure != nil {
				return 0, failure
			}
			if last == 0 || last >= expected {
				return expected, nil
			}
		}
		below = v.exists
	}
	switch {
	case v.exists > below: // counted, and not shown
		return expected, nil
	case v.next > r.upto: // what the mail store shows is as new as that
		return 0, nil
	case uint64(v.gone) >= uint64(r.upto)-uint64(expected)+1 && v.anchor.next <= expected:
		return 0, nil
	default:
		return expected, nil
	}
}
