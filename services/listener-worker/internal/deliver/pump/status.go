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
	// AwaitsOrigin means that it has something to push, and waits for the endpoint's origin,
	// which fails whoever asks. A pump does not know: whoever gives out turns does.
	AwaitsOrigin
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

// Confirmed tells whether the endpoint wants pushes, as far as is known.
func (p *Pump) Confirmed() bool { return p.confirmed }

// Status tells what the pump is doing at a time.
func (p *Pump) Status(now time.Time) Status {
	status := Status{Cursor: p.cursor, State: p.state()}
	if p.health != nil {
		status.Failures, status.LastError = p.health.failures, p.health.reason
	}
	if base := p.base().UID; p.head > base {
		status.Lag = p.head - base
	}
	if p.pending() {
		status.OldestPending = p.notes().oldest
	}
	if p.phase == waiting || p.phase == waitMore {
		status.NextTry = p.deadline.Time(now)
	}
	if p.hindered != nil {
		status.LastError = p.hindered.reason
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
		if p.health != nil && p.health.barred {
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
