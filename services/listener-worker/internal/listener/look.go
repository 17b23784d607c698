// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package listener

import "time"

// noticed remembers that the mail store spoke, in whatever phase it did so
// (RFC 9051 section 5.2), and looks as soon as the connection is free.
func (m *Machine) noticed(e Noticed, now time.Time) {
	if m.noticedAt.IsZero() {
		m.noticedAt = e.At
	}
	m.changed = true
	m.next(now)
}

func (m *Machine) check() {
	m.op = opCheck
	m.wake = time.Time{}
	m.do(Check{Conn: m.conn, Sync: m.sync})
	m.changed, m.sync = false, false
}

// checked compares where the folder ends with what was known. What is noticed
// while a check runs has set changed again and is looked at next.
func (m *Machine) checked(e Checked, now time.Time) {
	m.op = opNone
	m.idling = false
	noticed := firstTime(m.noticedAt, e.Noticed, now)
	if !m.changed {
		m.noticedAt = time.Time{}
	}
	if e.Box.UIDValidity == m.box.UIDValidity && e.Box.UIDNext == m.box.UIDNext {
		m.box = e.Box
		m.settling = false
	} else {
		m.status.LastEvent = now
		m.head(e.Box, noticed)
	}
	m.next(now)
}

// head takes over where the folder ends and reports it. A UIDNEXT that went back
// is reported as it is: the cursors know better than the listener what it means.
func (m *Machine) head(b Box, noticed time.Time) {
	m.box = b
	m.settling, m.lingers = true, true
	m.do(ReportHead{Box: b, Noticed: noticed})
}

func firstTime(times ...time.Time) time.Time {
	for _, t := range times {
		if !t.IsZero() {
			return t
		}
	}
	return time.Time{}
}
