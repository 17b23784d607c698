// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"time"

	"mailpush.internal/services/listener-worker/internal/mailbox"
	"mailpush.internal/services/listener-worker/internal/moment"
)

// noticed remembers that the mail store spoke, in whatever phase it did so
// (RFC 9051 section 5.2), and looks as soon as the connection is free.
func (m *Machine) noticed(at, now time.Time) {
	if m.noticedAt.IsZero() {
		m.noticedAt = moment.Of(at)
	}
	m.changed = true
	m.next(now)
}

func (m *Machine) check(now time.Time) {
	m.op = opCheck
	m.wake = 0
	if m.look == mailbox.Reopen {
		m.folderAt = moment.Of(now)
	}
	m.do(Check{Conn: m.conn, Look: m.look})
	m.changed, m.look = false, mailbox.Ask
}

// ownLook is how to look when the mail store has not spoken. A folder that has been
// open for long is opened again: the mail store may have put another in its place, and
// some answer for the one that a session has open until it ends.
func (m *Machine) ownLook(now time.Time) mailbox.Look {
	if moment.Of(now).Sub(m.folderAt) >= m.settings.IdleRefresh/2 {
		return mailbox.Reopen
	}
	return mailbox.Sync
}

// checked compares where the folder ends with what was known. What is noticed
// while a check runs has set changed again and is looked at next.
func (m *Machine) checked(e Checked, now time.Time) {
	m.op = opNone
	m.idling = false
	m.provenAt = moment.Of(now)
	noticed := firstTime(m.noticedAt.Time(now), e.Noticed, now)
	if !m.changed {
		m.noticedAt = 0
	}
	if e.Unsure && m.unsure < unsureLooks {
		m.unsure++
	} else {
		m.unsure = 0
	}
	if sameEnd(e.End, m.end) {
		m.end = e.End
		m.settling = m.unsure > 0
	} else {
		m.lastEvent = now.UnixNano()
		m.head(e.End, noticed, now)
	}
	m.next(now)
}

// head takes over where the folder ends and reports it. A UIDNEXT that went back
// is reported as it is: the cursors know better than the listener what it means.
func (m *Machine) head(end mailbox.End, noticed, now time.Time) {
	if end.UIDValidity != m.end.UIDValidity || end.UIDNext < m.end.UIDNext {
		m.unread = nil
	}
	if end.UIDNext > m.end.UIDNext && m.unread != nil {
		m.unread.hurry(now)
	}
	m.end, m.headAt = end, moment.Of(noticed)
	m.settling, m.lingers = true, true
	m.do(ReportHead{End: end, Noticed: noticed})
}

// sameEnd tells whether a folder has not moved between two looks.
func sameEnd(a, b mailbox.End) bool { return a.UIDValidity == b.UIDValidity && a.UIDNext == b.UIDNext }

// unsureLooks is how often to look again soon where more mails are counted than there is
// room for.
const unsureLooks = 4

// settle is how soon to look again after new mail.
func (m *Machine) settle() time.Duration {
	if m.unsure == 0 {
		return m.settings.Settle
	}
	return min(time.Second<<(m.unsure-1), m.settings.Settle)
}

// poll is how soon to look again without IDLE.
func (m *Machine) poll() time.Duration {
	if m.unsure == 0 {
		return m.settings.PollInterval
	}
	return min(m.settle(), m.settings.PollInterval)
}

func firstTime(times ...time.Time) time.Time {
	for _, t := range times {
		if !t.IsZero() {
			return t
		}
	}
	return time.Time{}
}
