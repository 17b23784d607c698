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
	// number Conn from now on. Known tells where the folder ends when nobody asks for that,
	// but for mails below: it need not be looked at. It is zero otherwise.
	Open struct {
		Conn  uint64
		Known mailbox.End
	}

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
		// Detail, Most, Gone, Known and Skip are those of a [mailbox.Range].
		Detail            mailbox.Detail
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

	// ReportMissed tells that a look that no hint asked for has found new mail, of which
	// none has told since.
	ReportMissed struct{}

	// ReportTold tells that the folder has grown by one mail, and all of it but its size.
	ReportTold struct {
		End     mailbox.End
		Mail    mailbox.Mail
		Noticed time.Time
	}

	// ReportFetched answers FetchWanted.
	ReportFetched struct {
		End        mailbox.End
		From, Upto uint32
		Detail     mailbox.Detail
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
func (ReportMissed) effect()    {}
func (ReportTold) effect()      {}
func (ReportFetched) effect()   {}
func (ReportSuspended) effect() {}
