// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"time"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// open starts a new connection. The caller has seen to it that there is none.
func (m *Machine) open(now time.Time) {
	m.conn++
	m.op = opOpen
	m.wake = time.Time{}
	m.enter(mailv1.ListenerState_LISTENER_STATE_CONNECTING, now)
	m.do(Open{Conn: m.conn})
}

func (m *Machine) opened(e Opened, now time.Time) {
	m.op = opNone
	m.openedAt, m.folderAt = now, now
	m.refusals = 0
	m.waits = e.Waits
	m.status.CredentialVersion = max(m.status.CredentialVersion, e.Version)
	m.status.LastError = ""
	if e.Waits == ByPolling {
		m.status.LastError = "mail store offers no IDLE; asking at intervals"
	}
	if e.Waits == ByHints && m.end.UIDNext != 0 && !sameEnd(m.end, e.End) {
		m.status.LastEvent = now
	}
	m.head(e.End, firstTime(m.noticedAt, now), now)
	if !m.changed {
		m.noticedAt = time.Time{}
	}
	m.next(now)
}

func (m *Machine) idlingNow(now time.Time) {
	m.op = opNone
	m.idling = true
	m.enter(mailv1.ListenerState_LISTENER_STATE_IDLE, now)
	if m.settling {
		m.wake = now.Add(m.settle())
	} else {
		m.wake = now.Add(m.settings.refresh())
	}
	m.next(now)
}

// idleRefused turns to polling for the life of this connection.
func (m *Machine) idleRefused(e IdleRefused, now time.Time) {
	m.op = opNone
	m.waits = ByPolling
	m.status.LastError = e.Reason
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
	m.openedAt = time.Time{}
	m.idling, m.settling, m.lingers = false, false, false
	m.changed, m.look, m.noticedAt = false, mailbox.Ask, time.Time{} // the next opening looks anyway
	m.wake = time.Time{}
}

func (m *Machine) failed(e Failed, now time.Time) {
	fetching, stable := m.op == opFetch, m.stable(now)
	if fetching {
		m.unread.lost(e.Failure, m.end.UIDNext)
	}
	m.dropConnection()
	m.refuseFetch(fetching, e.Failure)
	m.status.LastError = e.Failure.Reason
	m.status.CredentialVersion = max(m.status.CredentialVersion, e.Version)
	if stable {
		m.failures = 0
	}
	if m.mustSuspend(e) {
		m.suspend(e, now)
		return
	}
	m.wake = now.Add(m.settings.away(m.failures))
	m.failures++
	m.enter(mailv1.ListenerState_LISTENER_STATE_BACKOFF, now)
}

func (m *Machine) stable(now time.Time) bool {
	return !m.openedAt.IsZero() && now.Sub(m.openedAt) >= m.settings.StableAfter
}

// moved reconnects with new settings. A suspended listener stays suspended: its
// credential is still the refused one.
func (m *Machine) moved(settings Settings, now time.Time) {
	m.settings = settings.withDefaults()
	state := m.status.State
	if state == mailv1.ListenerState_LISTENER_STATE_UNSPECIFIED || state == mailv1.ListenerState_LISTENER_STATE_SUSPENDED {
		return
	}
	fetching := m.op == opFetch
	m.dropConnection()
	m.refuseFetch(fetching, &mailbox.Failure{Class: mailbox.ClassLost, Reason: "the mail store's settings changed"})
	m.failures = 0
	m.open(now)
}
