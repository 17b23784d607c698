// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pump

import (
	"time"

	"mailpush.internal/services/listener-worker/internal/mailbox"
	"mailpush.internal/services/listener-worker/internal/transport"
)

// Effect is something a pump wants done: Ready, Fetch, Ping, Send, Skip, Commit, Done or
// Wait; or something it tells of its endpoint: Confirmed, Absent, Present, EndpointGone,
// Failing or Healthy.
type Effect interface{ effect() }

// Ready asks for a Turn: there is something to send, or an endpoint to ask.
type Ready struct{}

// Fetch asks for the mails from a UID on.
type Fetch struct{ From uint32 }

// Ping asks the endpoint whether it wants pushes. It is answered by Pinged.
type Ping struct{}

// Send asks for one request to the endpoint. It may follow a Commit within the same
// turn.
type Send struct{ Batch transport.Batch }

// Skip says that a range of UIDs is stepped over because the endpoint will never take
// it: a dead letter. The Commit that does so is the next effect.
type Skip struct {
	UIDValidity uint32
	From, Upto  uint32 // both ends included; From is zero for a reset
	Reason      string // what the endpoint said, for people
}

// Commit says that the cursor has moved and wants storing.
type Commit struct {
	Cursor mailbox.Cursor
	// Rewind is true when the cursor may go back under its UIDVALIDITY: the folder's
	// end did.
	Rewind bool
	// ResetFrom is where the cursor was before a reset has moved it; zero when none has.
	ResetFrom mailbox.Cursor
	// Vanished is how many UIDs of the served range had no mail any more.
	Vanished uint32
}

// Done gives the Turn back.
type Done struct{}

// Wait asks for a Tick, replacing any earlier one.
type Wait struct{ Until time.Time }

// Confirmed says that the endpoint has answered the ping: it wants pushes.
type Confirmed struct{}

// Absent says that the endpoint has begun to answer that it is not there.
type Absent struct{}

// Present says that the endpoint has answered something else after [Absent].
type Present struct{}

// EndpointGone says that there is evidence enough that the endpoint is gone: see
// Policy.GoneApart and GoneAfter. It is said again with each further answer. What becomes
// of it is for somebody else to decide; the pump stays away for long.
type EndpointGone struct{ Reason string }

// Failing says that the endpoint has not accepted anything since a time: at the third
// failure in a row, when its origin fails, or when an Absence begins or ends; then once
// an hour at most.
type Failing struct {
	Since   time.Time
	Reason  string
	Absence Absence // zero unless it said last that it is not there
}

// Healthy says that an endpoint that was Failing has accepted something.
type Healthy struct{}

func (Ready) effect()        {}
func (Fetch) effect()        {}
func (Ping) effect()         {}
func (Send) effect()         {}
func (Skip) effect()         {}
func (Commit) effect()       {}
func (Done) effect()         {}
func (Wait) effect()         {}
func (Confirmed) effect()    {}
func (Absent) effect()       {}
func (Present) effect()      {}
func (EndpointGone) effect() {}
func (Failing) effect()      {}
func (Healthy) effect()      {}
