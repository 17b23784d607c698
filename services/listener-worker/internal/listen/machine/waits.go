// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"math"
	"time"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/mailbox"
	"mailpush.internal/services/listener-worker/internal/moment"
)

// Waits is how a listener notices changes once its mailbox has been looked at.
type Waits uint8

// The ways to wait.
const (
	// ByPolling asks at intervals on the connection.
	ByPolling Waits = iota
	// ByIdle has IDLE stand on the connection.
	ByIdle
	// ByHints closes the connection: somebody else says when to look. What is missed that
	// way is found by looking at intervals.
	ByHints
)

// await gives the connection up until a hint comes, somebody wants to read, or it is
// time to look without one.
func (m *Machine) await(now time.Time) {
	m.dropConnection()
	m.failures = 0 // it has served its purpose
	m.enter(mailv1.ListenerState_LISTENER_STATE_WAITING, now)
	m.since = m.hints.resume(m.since) // a look does not end the wait
	m.wake = moment.Of(now.Add(m.recheck()))
}

// recheck is how long to go without a look.
func (m *Machine) recheck() time.Duration {
	if m.hints != nil && m.hints.again > 0 {
		return m.hints.again - m.settings.Jitter(m.hints.again/10)
	}
	return m.settings.recheck()
}

// hinted takes a hint. One that speaks of a mail the listener knows is no news; one that
// comes while the listener stays away is not needed, for the next opening looks anyway.
// One that tells the very next mail saves the look.
func (m *Machine) hinted(hint mailbox.Hint, now time.Time) {
	m.hinting().heard(hint)
	known := hint.UIDValidity == m.end.UIDValidity && hint.UID != 0 && hint.UID < m.end.UIDNext
	switch {
	case known:
	case m.connected():
		m.noticed(hint.At, now)
	case m.state != mailv1.ListenerState_LISTENER_STATE_WAITING:
	case m.follows(hint):
		m.told(hint, now)
	default:
		m.open(now)
		m.noticedAt = moment.Of(hint.At)
	}
}

// follows tells whether a hint tells the mail that comes next in the folder as it is
// known. Then there is nothing in between, and nothing that a look could add.
func (m *Machine) follows(hint mailbox.Hint) bool {
	return hint.Mail != nil && hint.Mail.UID == hint.UID && hint.Folder == m.end.Folder &&
		hint.UIDValidity == m.end.UIDValidity && hint.UID == m.end.UIDNext && hint.UID < math.MaxUint32
}

// told takes a mail over from a hint. Nothing may be in flight: the answer to a look that
// was made before the mail came would seem to take it back.
func (m *Machine) told(hint mailbox.Hint, now time.Time) {
	noticed := firstTime(hint.At, now)
	m.lastEvent = now.UnixNano()
	m.end.UIDNext, m.end.Unseen = hint.UID+1, hint.Unseen
	m.headAt = moment.Of(noticed)
	if m.unread != nil {
		m.unread.hurry(now)
	}
	m.do(ReportTold{End: m.end, Mail: *hint.Mail, Noticed: noticed})
}

// connected tells whether a connection is open or being opened.
func (m *Machine) connected() bool { return m.op == opOpen || !m.openedAt.IsZero() }
