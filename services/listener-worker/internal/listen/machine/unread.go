// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"fmt"
	"time"

	"mailpush.internal/services/listener-worker/internal/mailbox"
	"mailpush.internal/services/listener-worker/internal/moment"
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

// trouble is what is known of mails that could not be read, for more to be added.
func (m *Machine) trouble() *unread {
	if m.unread == nil {
		m.unread = new(unread)
	}
	return m.unread
}

// trial counts how often mails were asked for that were not read. It is about all mails
// that were there when it began, so that many of them cost no more time than one.
type trial struct {
	upto  uint32 // the last UID it is about; zero without a trial
	tries int
}

// unread is what a listener knows of mails that it could not read; nil: it could.
type unread struct {
	absent, damaged trial
	held            uint32        // the first mail that is not to be asked for
	until           moment.Moment // until then; zero when nothing is held
	why             mailbox.Gap
	detail          mailbox.Detail // of the read that could not read it

	most    int    // how many mails to read at once; zero: no limit
	fewUpto uint32 // up to this UID
	suspect uint32 // the one mail that was being read when the connection was lost
	losses  int    // how often it was, in a row
}

const (
	// firstPause is how long a mail that cannot be read is left alone after the first try.
	firstPause = 3 * time.Second
	// shortPause is how long after the next, where other mails wait behind it.
	shortPause = 5 * time.Second
)

// pause is how long to leave a mail alone after so many tries.
func (u *unread) pause(tries int, next uint32, retry time.Duration) time.Duration {
	switch {
	case u.why == mailbox.Absent:
		return min(time.Second<<(tries-1), 4*time.Second)
	case tries == 1:
		return min(firstPause, retry)
	case next > u.held+1:
		return min(shortPause, retry)
	default:
		return retry
	}
}

// hurry cuts the long pause of a mail short when another has come behind it.
func (u *unread) hurry(now time.Time) {
	if soon := moment.Of(now.Add(shortPause)); u.why == mailbox.Damaged {
		u.until = min(u.until, soon) // which may be zero
	}
}

// take takes in how far a range was read, of a folder that ends below next.
func (u *unread) take(e Fetched, next uint32, retry time.Duration, now time.Time) {
	if e.Gap == mailbox.NoGap && u.held != 0 && (e.From > u.held || !u.concerns(e.Detail)) {
		return // another's read, of what is behind, or of less
	}
	u.until, u.held, u.why = 0, 0, mailbox.NoGap
	if e.Upto >= u.fewUpto {
		u.most, u.fewUpto = 0, 0
	}
	if e.Upto >= u.suspect {
		u.suspect, u.losses = 0, 0
	}
	if e.Upto >= u.absent.upto {
		u.absent = trial{}
	}
	if e.Upto >= u.damaged.upto && e.Detail.Serves(u.detail) {
		u.damaged = trial{}
	}
	var t *trial
	switch e.Gap {
	case mailbox.Absent:
		t = &u.absent
	case mailbox.Damaged:
		t = &u.damaged
	default:
		return
	}
	if t.tries == 0 {
		t.upto = next - 1
	}
	t.tries++
	u.held, u.why, u.detail = e.Upto+1, e.Gap, e.Detail
	u.until = moment.Of(now.Add(u.pause(t.tries, next, retry)))
}

// lost takes in that the connection was lost while mails were read: the next read is
// smaller, until it is known which mail that is, if any.
func (u *unread) lost(failure *mailbox.Failure, next uint32) {
	switch failure.Class {
	case mailbox.ClassLost, mailbox.ClassTimeout, mailbox.ClassGarbage:
	default:
		return
	}
	if u.most == 0 {
		u.most, u.fewUpto = fewMails, max(next, 1)-1
	} else {
		u.most = 1
	}
	switch failure.UID {
	case 0: // there were several
	case u.suspect:
		u.losses++
	default:
		u.suspect, u.losses = failure.UID, 1
	}
}

// concerns tells whether what is held could not be read in such detail either: a mail
// whose header is damaged can still be counted.
func (u *unread) concerns(detail mailbox.Detail) bool {
	return u.why != mailbox.Damaged || detail.Serves(u.detail)
}

// holds tells whether a mail is not to be asked for yet.
func (u *unread) holds(uid uint32, detail mailbox.Detail, now time.Time) bool {
	return u != nil && uid == u.held && moment.Of(now) < u.until && u.concerns(detail)
}

// fetch is what to ask for of a range.
func (u *unread) fetch(f Fetch, now time.Time) Fetch {
	if u == nil {
		return f
	}
	f.Most = u.most
	if f.From < u.held && u.holds(u.held, f.Detail, now) && u.held <= f.Upto {
		f.Upto = u.held - 1
	}
	if u.absent.tries >= absentAsks-1 {
		f.Gone = u.absent.upto
	}
	if u.damaged.tries >= damagedTries-1 {
		f.Known = u.damaged.upto
	}
	if u.losses >= damagedTries && f.From <= u.suspect && u.suspect <= f.Upto {
		f.Skip = u.suspect
	}
	return f
}

// failure is what to answer for a mail that is held.
func (u *unread) failure() *mailbox.Failure {
	reason := fmt.Sprintf("mail %d is counted and not shown yet", u.held)
	if u.why == mailbox.Damaged {
		reason = fmt.Sprintf("mail %d cannot be read yet", u.held)
	}
	return &mailbox.Failure{Class: mailbox.ClassUnavailable, Reason: reason}
}
