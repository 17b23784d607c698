// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package listen runs all listeners of a worker on one loop.
//
// Invariant: every state machine is stepped by one goroutine, in the order of
// its events; whatever can block runs elsewhere, bounded in number per mail
// store and per process, and comes back as an event. An idle listener holds no
// goroutine of this package, so their number is bounded by connections alone.
package listen

import (
	"context"
	"time"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/listen/machine"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// Sink receives what listeners find. Its methods are called on the loop, one at
// a time, and must not block; they may call the loop's own methods.
type Sink interface {
	// Head tells where a folder ends: after each opening, and whenever UIDVALIDITY
	// or UIDNEXT moved. noticed is when the mail store's word of it arrived, or when
	// the mailbox was opened.
	Head(u mailbox.User, end mailbox.End, noticed time.Time)
	// Told is Head for a folder that has grown by one mail, which was told with it and
	// need not be read.
	Told(u mailbox.User, end mailbox.End, mail mailbox.Mail, noticed time.Time)
	// Fetched answers Fetch.
	Fetched(read mailbox.Read)
	// Suspended tells that the credential of the given version was refused and is
	// not tried again; reason is for people.
	Suspended(u mailbox.User, credentialVersion uint64, reason string)
}

// Credentials gives out what opens a mailbox.
type Credentials interface {
	// Login returns the user's login in a slot. An error of kind fault.NotFound means there is
	// none and suspends the listener; any other error is tried again later.
	Login(ctx context.Context, u mailbox.User, slot uint32) (mailbox.Login, error)
}

// Status is what a listener is doing.
type Status struct {
	// User is whose listener it is.
	User mailbox.User
	// Permanent is true for a listener that needs no user session.
	Permanent bool
	// Backend is how it notices new mail.
	Backend string
	// Registration is whether the mail store knows where to tell of new mail.
	Registration mailv1.Registration
	// Status is what it is doing.
	machine.Status
}
