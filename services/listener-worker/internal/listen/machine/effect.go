// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"time"

	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// Effect is something to do for a listener, in the order returned.
//
// Open, Idle, Check and Fetch are operations: each is answered by its event or
// by Failed, and at most one is in flight.
type Effect interface{ effect() }

type (
	// Open connects, logs in and opens the folder read-only. The connection has the
	// number Conn from now on.
	Open struct{ Conn uint64 }

	// Idle begins IDLE (RFC 2177).
	Idle struct{ Conn uint64 }

	// Check ends IDLE where it stands and asks where the folder ends.
	Check struct {
		Conn uint64
		Look mailbox.Look
	}

	// Fetch ends IDLE where it stands and reads mails of the UIDs From to Upto; it
	// may stop early and say so.
	Fetch struct {
		Conn       uint64
		From, Upto uint32
		// Most, Gone, Known and Skip are those of a [mailbox.Range].
		Most              int
		Gone, Known, Skip uint32
	}

	// Close gives the connection up, whatever it is doing.
	Close struct{ Conn uint64 }

	// SetTimer replaces the listener's one timer; a zero At stops it.
	SetTimer struct{ At time.Time }

	// ReportHead tells where the folder ends.
	ReportHead struct {
		End     mailbox.End
		Noticed time.Time
	}

	// ReportFetched answers FetchWanted.
	ReportFetched struct {
		End        mailbox.End
		From, Upto uint32
		Mails      []mailbox.Mail
		Err        error
	}

	// ReportSuspended tells that a credential version was refused.
	ReportSuspended struct {
		Version uint64
		Reason  string
	}
)

func (Open) effect()            {}
func (Idle) effect()            {}
func (Check) effect()           {}
func (Fetch) effect()           {}
func (Close) effect()           {}
func (SetTimer) effect()        {}
func (ReportHead) effect()      {}
func (ReportFetched) effect()   {}
func (ReportSuspended) effect() {}
