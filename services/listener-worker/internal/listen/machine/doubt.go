// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"fmt"
	"time"

	"mailpush.internal/services/listener-worker/internal/mailbox"
)

const (
	// absentAsks is how often a mail is asked for that may be there and is not shown,
	// before its absence is believed: over 11 seconds.
	absentAsks = 5
	// damagedTries is how often a mail is read that cannot be, before it is announced
	// with what is known of it.
	damagedTries = 3
	// fewMails is how many mails are read at once where reading has cost the connection;
	// when that does, too, it is one.
	fewMails = 12
)

// trial counts how often mails were asked for that were not read. It is about all mails
// that were there when it began, so that many doubtful ones cost no more time than one.
type trial struct {
	upto  uint32 // the last UID it is about; zero without a trial
	tries int
}

// doubts is what a listener knows of mails that it could not read.
type doubts struct {
	absent, damaged trial
	held            uint32    // the first mail that is not to be asked for
	until           time.Time // until then; zero when nothing is held
	why             mailbox.Doubt

	most   int    // how many mails to read at once; zero: no limit
	cure   uint32 // up to this UID
	killer uint32 // the one mail that was being read when the connection was lost
	kills  int    // how often it was, in a row
}

const (
	// firstPause is how long a mail that cannot be read is left alone after the first try.
	firstPause = 3 * time.Second
	// shortPause is how long after the next, where other mails wait behind it.
	shortPause = 5 * time.Second
)

// pause is how long to leave a mail alone after so many tries.
func (d *doubts) pause(tries int, next uint32, retry time.Duration) time.Duration {
	switch {
	case d.why == mailbox.Absent:
		return min(time.Second<<(tries-1), 4*time.Second)
	case tries == 1:
		return min(firstPause, retry)
	case next > d.held+1:
		return min(shortPause, retry)
	default:
		return retry
	}
}

// hurry cuts the long pause of a mail short when another has come behind it.
func (d *doubts) hurry(now time.Time) {
	if soon := now.Add(shortPause); !d.until.IsZero() && d.why == mailbox.Damaged && soon.Before(d.until) {
		d.until = soon
	}
}

// take takes in how far a range was read, of a folder that ends below next.
func (d *doubts) take(e Fetched, next uint32, retry time.Duration, now time.Time) {
	if e.Doubt == mailbox.NoDoubt && d.held != 0 && e.From > d.held {
		return // another's read, of what is behind
	}
	d.until, d.held = time.Time{}, 0
	if e.Upto >= d.cure {
		d.most, d.cure = 0, 0
	}
	if e.Upto >= d.killer {
		d.killer, d.kills = 0, 0
	}
	for _, t := range []*trial{&d.absent, &d.damaged} {
		if e.Upto >= t.upto {
			*t = trial{}
		}
	}
	var t *trial
	switch e.Doubt {
	case mailbox.Absent:
		t = &d.absent
	case mailbox.Damaged:
		t = &d.damaged
	default:
		return
	}
	if t.tries == 0 {
		t.upto = next - 1
	}
	t.tries++
	d.held, d.why = e.Upto+1, e.Doubt
	d.until = now.Add(d.pause(t.tries, next, retry))
}

// lost takes in that the connection was lost while mails were read: the next read is
// smaller, until it is known which mail that is, if any.
func (d *doubts) lost(failure *mailbox.Failure, next uint32) {
	switch failure.Class {
	case mailbox.ClassLost, mailbox.ClassTimeout, mailbox.ClassGarbage:
	default:
		return
	}
	if d.most == 0 {
		d.most, d.cure = fewMails, max(next, 1)-1
	} else {
		d.most = 1
	}
	switch failure.UID {
	case 0: // there were several
	case d.killer:
		d.kills++
	default:
		d.killer, d.kills = failure.UID, 1
	}
}

// holds tells whether a mail is not to be asked for yet.
func (d *doubts) holds(uid uint32, now time.Time) bool { return uid == d.held && now.Before(d.until) }

// fetch is what to ask for of a range.
func (d *doubts) fetch(conn uint64, from, upto uint32, now time.Time) Fetch {
	f := Fetch{Conn: conn, From: from, Upto: upto, Most: d.most}
	if from < d.held && d.held <= upto && now.Before(d.until) {
		f.Upto = d.held - 1
	}
	if d.absent.tries >= absentAsks-1 {
		f.Gone = d.absent.upto
	}
	if d.damaged.tries >= damagedTries-1 {
		f.Known = d.damaged.upto
	}
	if d.kills >= damagedTries && from <= d.killer && d.killer <= f.Upto {
		f.Skip = d.killer
	}
	return f
}

// failure is what to answer for a mail that is held.
func (d *doubts) failure() *mailbox.Failure {
	reason := fmt.Sprintf("mail %d is counted and not shown yet", d.held)
	if d.why == mailbox.Damaged {
		reason = fmt.Sprintf("mail %d cannot be read yet", d.held)
	}
	return &mailbox.Failure{Class: mailbox.ClassUnavailable, Reason: reason}
}
