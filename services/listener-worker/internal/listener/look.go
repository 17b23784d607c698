// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package listener

import "time"

// Look is how a mail store is asked where the folder ends.
type Look int

// The looks.
const (
	// Ask takes what the mail store knows, for it has just spoken.
	Ask Look = iota
	// Sync has it look at the folder first (NOOP), for when it did not speak by itself.
	Sync
	// Reopen has it open the folder again first (EXAMINE).
	Reopen
)

// noticed remembers that the mail store spoke, in whatever phase it did so
// (RFC 9051 section 5.2), and looks as soon as the connection is free.
func (m *Machine) noticed(e Noticed, now time.Time) {
	if m.noticedAt.IsZero() {
		m.noticedAt = e.At
	}
	m.changed = true
	m.next(now)
}

func (m *Machine) check(now time.Time) {
	m.op = opCheck
	m.wake = time.Time{}
	if m.look == Reopen {
		m.folderAt = now
	}
	m.do(Check{Conn: m.conn, Look: m.look})
	m.changed, m.look = false, Ask
}

// ownLook is how to look when the mail store has not spoken. A folder that has been
// open for long is opened again: the mail store may have put another in its place, and
// some answer for the one that a session has open until it ends.
func (m *Machine) ownLook(now time.Time) Look {
	if now.Sub(m.folderAt) >= m.settings.IdleRefresh/2 {
		return Reopen
	}
	return Sync
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
