// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"time"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// Waits is how a listener notices changes once its mailbox has been looked at.
type Waits int

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
	m.wake = now.Add(m.settings.recheck())
}

// hinted takes a hint. One that speaks of a mail the listener knows is no news; one that
// comes while the listener stays away is not needed, for the next opening looks anyway.
func (m *Machine) hinted(hint mailbox.Hint, now time.Time) {
	known := hint.UIDValidity == m.end.UIDValidity && hint.UID != 0 && hint.UID < m.end.UIDNext
	switch {
	case known:
	case m.connected():
		m.noticed(hint.At, now)
	case m.status.State == mailv1.ListenerState_LISTENER_STATE_WAITING:
		m.open(now)
		m.noticedAt = hint.At
	}
}

// connected tells whether a connection is open or being opened.
func (m *Machine) connected() bool { return m.op == opOpen || !m.openedAt.IsZero() }
