// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"time"

	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// Event is something that happened to a listener.
//
// Events of a connection carry its number, given by the Open effect; those of a
// connection that is already given up are ignored.
type Event interface{ event() }

type (
	// Start lets the listener begin.
	Start struct{}

	// Opened answers Open: logged in, and the folder is open.
	Opened struct {
		Conn    uint64
		End     mailbox.End
		Waits   Waits  // how changes are noticed from now on
		Version uint64 // of the credential that was used
		// Note is why changes may be noticed late, and Again how soon to look again
		// without a hint; zero: as usual.
		Note  string
		Again time.Duration
		// Unproven tells that End is what was known, and was not looked at.
		Unproven bool
	}

	// Idling answers Idle: the mail store waits with us.
	Idling struct{ Conn uint64 }

	// IdleRefused answers Idle: the mail store will not have it, the connection is fine.
	IdleRefused struct {
		Conn   uint64
		Reason string
	}

	// Checked answers Check; IDLE has ended.
	Checked struct {
		Conn uint64
		End  mailbox.End
		// Noticed is when word of a change came during the check; may be zero.
		Noticed time.Time
		// Unsure tells that more mails are counted than End has room for.
		Unsure bool
	}

	// Fetched answers Fetch; IDLE has ended.
	Fetched struct {
		Conn       uint64
		From, Upto uint32
		Detail     mailbox.Detail
		Mails      []mailbox.Mail
		// Gap is about the mail behind Upto.
		Gap mailbox.Gap
	}

	// Failed tells that an operation failed or the connection was lost. Either way
	// the connection is of no more use.
	Failed struct {
		Conn    uint64
		Failure *mailbox.Failure
		Version uint64 // of the credential that was used, if any was
		// Awaits tells that Retry will come when it is time to try again, and that the
		// mailbox is not to blame.
		Awaits bool
	}

	// Noticed tells that the mail store spoke of a change in the folder.
	Noticed struct {
		Conn uint64
		At   time.Time
	}

	// Hinted tells that somebody says the folder may have changed.
	Hinted struct{ Hint mailbox.Hint }

	// Reconcile has a listener that waits for hints look by itself: some may be lost.
	Reconcile struct{}

	// FetchWanted asks for the mails from a UID on.
	FetchWanted struct {
		From   uint32
		Detail mailbox.Detail
	}

	// Retry ends a back-off: it is time to try again. Fresh tells that the mailbox was not
	// to blame, so that the next back-off is as short as the first.
	Retry struct{ Fresh bool }

	// Timer tells that the time of the last SetTimer has come.
	Timer struct{}

	// Renewed tells that a credential version exists.
	Renewed struct{ Version uint64 }

	// Moved tells that the mail store's settings changed.
	Moved struct{ Settings *Settings }

	// Stop ends the listener for good.
	Stop struct{}
)

func (Start) event()       {}
func (Opened) event()      {}
func (Idling) event()      {}
func (IdleRefused) event() {}
func (Checked) event()     {}
func (Fetched) event()     {}
func (Failed) event()      {}
func (Noticed) event()     {}
func (Hinted) event()      {}
func (Reconcile) event()   {}
func (FetchWanted) event() {}
func (Retry) event()       {}
func (Timer) event()       {}
func (Renewed) event()     {}
func (Moved) event()       {}
func (Stop) event()        {}

// connOf returns the connection an event is about, 0 if it is about none.
func connOf(ev Event) uint64 {
	switch e := ev.(type) {
	case Opened:
		return e.Conn
	case Idling:
		return e.Conn
	case IdleRefused:
		return e.Conn
	case Checked:
		return e.Conn
	case Fetched:
		return e.Conn
	case Failed:
		return e.Conn
	case Noticed:
		return e.Conn
	default:
		return 0
	}
}
