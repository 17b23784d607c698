// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pump

import (
	"time"

	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// State is what a pump is doing.
type State int

// The states.
const (
	// Idle means that there is nothing to push.
	Idle State = iota
	// Busy means that a mailbox is read, or a request out or about to be.
	Busy
	// Gathering means that more mails are gathered before the next push.
	Gathering
	// Backoff means that it stays away after a failure, or because its origin fails; see
	// LastError.
	Backoff
	// Unconfirmed means that the endpoint has not said yet that it wants pushes.
	Unconfirmed
)

// Status is what a pump shows to people.
type Status struct {
	Cursor        mailbox.Cursor
	Lag           uint32    // UIDs between the cursor and the end of the folder
	OldestPending time.Time // when the oldest pending mail was noticed; zero without one
	State         State
	Failures      int       // of the endpoint, in a row
	NextTry       time.Time // zero when none waits
	LastError     string    // why it is not well; empty when it is
}

// Status tells what the pump is doing.
func (p *Pump) Status() Status {
	status := Status{Cursor: p.cursor, State: p.state(), Failures: p.health.failures, LastError: p.health.reason}
	if base := p.base().UID; p.head > base {
		status.Lag = p.head - base
	}
	if p.pending() {
		status.OldestPending = p.noticed
	}
	if p.phase == waiting || p.phase == waitMore {
		status.NextTry = p.deadline
	}
	if p.hindered > 0 {
		status.LastError = p.hindrance
	}
	if p.misses > 0 {
		status.LastError = "the mailbox could not be read"
	}
	return status
}

func (p *Pump) state() State {
	if !p.confirmed {
		return Unconfirmed
	}
	switch p.phase {
	case waitMore:
		return Gathering
	case queued:
		if p.health.barred {
			return Backoff
		}
		return Busy
	case fetching, sending, pinging:
		return Busy
	case waiting:
		return Backoff
	case idle:
	}
	return Idle
}
