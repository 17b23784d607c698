// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"time"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/mailbox"
	"mailpush.internal/services/listener-worker/internal/moment"
)

// open starts a new connection. The caller has seen to it that there is none.
func (m *Machine) open(now time.Time) { m.openAt(mailbox.End{}, now) }

// openAt opens a connection for a folder that is known to end somewhere, if it is.
func (m *Machine) openAt(known mailbox.End, now time.Time) {
	m.conn++
	m.op = opOpen
	m.wake = 0
	if m.state == mailv1.ListenerState_LISTENER_STATE_WAITING {
		m.hinting().since = m.since
	}
	m.enter(mailv1.ListenerState_LISTENER_STATE_CONNECTING, now)
	m.do(Open{Conn: m.conn, Known: known})
}

func (m *Machine) opened(e Opened, now time.Time) {
	m.op = opNone
	m.openedAt = moment.Of(now)
	m.folderAt = m.openedAt
	m.refusals = 0
	m.failure, m.blame = 0, 0
	m.waits = e.Waits
	m.credential = max(m.credential, e.Version)
	if !e.Unproven {
		m.provenAt = moment.Of(now)
	}
	m.lastError = e.Note
	if e.Waits == ByPolling {
		m.lastError = "mail store offers no IDLE; asking at intervals"
	}
	if e.Waits == ByHints && m.end.UIDNext != 0 && !sameEnd(m.end, e.End) {
		m.lastEvent = now.UnixNano()
	}
	m.hintsAfter(e, now)
	m.head(e.End, firstTime(m.noticedAt.Time(now), now), now)
	if !m.changed {
		m.noticedAt = 0
	}
	m.next(now)
}

func (m *Machine) idlingNow(now time.Time) {
	m.op = opNone
	m.idling = true
	m.enter(mailv1.ListenerState_LISTENER_STATE_IDLE, now)
	if m.settling {
		m.wake = moment.Of(now.Add(m.settle()))
	} else {
		m.wake = moment.Of(now.Add(m.settings.refresh()))
	}
	m.next(now)
}

// idleRefused turns to polling for the life of this connection.
func (m *Machine) idleRefused(e IdleRefused, now time.Time) {
	m.op = opNone
	m.waits = ByPolling
	m.lastError = e.Reason
	m.next(now)
}

// dropConnection gives up the connection and all that is in flight on it, and
// answers the fetches that will not be.
func (m *Machine) dropConnection() {
	if m.op != opNone || !m.openedAt.IsZero() {
		m.do(Close{Conn: m.conn})
		m.conn++ // what it still says is of no interest
	}
	m.op = opNone
	m.openedAt = 0
	m.idling, m.settling, m.lingers = false, false, false
	m.changed, m.look, m.noticedAt = false, mailbox.Ask, 0 // the next opening looks anyway
	m.wake = 0
}

func (m *Machine) failed(e Failed, now time.Time) {
	m.hints.failed()
	fetching, stable := m.op == opFetch, m.stable(now)
	if fetching {
		m.trouble().lost(e.Failure, m.end.UIDNext)
	}
	m.dropConnection()
	m.refuseFetch(fetching, e.Failure)
	m.lastError = e.Failure.Reason
	m.failure, m.blame = e.Failure.Class, e.Failure.Whose()
	m.credential = max(m.credential, e.Version)
	if stable {
		m.failures = 0
	}
	if m.mustSuspend(e) {
		m.suspend(e, now)
		return
	}
	if !e.Awaits {
		m.wake = moment.Of(now.Add(m.settings.away(int(m.failures))))
		m.failures++
	}
	m.enter(mailv1.ListenerState_LISTENER_STATE_BACKOFF, now)
}

// retry ends a back-off. Of a listener that does anything else it wants nothing.
func (m *Machine) retry(e Retry, now time.Time) {
	if m.state != mailv1.ListenerState_LISTENER_STATE_BACKOFF {
		return
	}
	if e.Fresh {
		m.failures = 0
	}
	m.open(now)
}

func (m *Machine) stable(now time.Time) bool {
	return !m.openedAt.IsZero() && moment.Of(now).Sub(m.openedAt) >= m.settings.StableAfter
}

// moved reconnects with new settings. A suspended listener stays suspended: its
// credential is still the refused one.
func (m *Machine) moved(settings *Settings, now time.Time) {
	m.settings = settings
	state := m.state
	if state == mailv1.ListenerState_LISTENER_STATE_UNSPECIFIED || state == mailv1.ListenerState_LISTENER_STATE_SUSPENDED {
		return
	}
	fetching := m.op == opFetch
	m.dropConnection()
	m.refuseFetch(fetching, &mailbox.Failure{Class: mailbox.ClassLost, Reason: "the mail store's settings changed"})
	m.failures = 0
	m.open(now)
}
