// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"time"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// mustSuspend decides whether a failure is the credential's fault. A credential
// newer than the refused one deserves its own attempt, after the back-off.
func (m *Machine) mustSuspend(e Failed) bool {
	switch e.Failure.Class {
	case mailbox.ClassRefused:
		return e.Version >= m.credential
	case mailbox.ClassUnexplained:
		m.refusals++
		return m.refusals >= doubtsAllowed && e.Version >= m.credential
	case mailbox.ClassNoCredential:
		return true
	default:
		return false
	}
}

// suspend waits for a new credential, without a timer: nothing else helps.
func (m *Machine) suspend(e Failed, now time.Time) {
	m.enter(mailv1.ListenerState_LISTENER_STATE_SUSPENDED, now)
	m.do(ReportSuspended{Version: m.credential, Reason: e.Failure.Reason})
}

func (m *Machine) renewed(version uint64, now time.Time) {
	if version <= m.credential {
		return
	}
	doubted := m.refusals > 0
	m.credential = version
	m.refusals = 0
	switch m.state {
	case mailv1.ListenerState_LISTENER_STATE_SUSPENDED:
	case mailv1.ListenerState_LISTENER_STATE_BACKOFF:
		if !doubted {
			return
		}
	default:
		return
	}
	m.failures = 0
	m.open(now)
}
