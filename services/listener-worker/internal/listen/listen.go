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
	"mailpush.internal/services/listener-worker/internal/listener"
)

// User names the owner of a mailbox.
type User struct {
	// Context is the tenant the user belongs to.
	Context string
	// ID is the user inside the tenant.
	ID string
}

// Box is where a folder ends.
type Box = listener.Box

// Mail is what a push may say of one mail.
type Mail = listener.Mail

// Login is what opens one mailbox. The loop asks for it before each login and
// drops it after.
type Login = listener.Login

// Mailbox says that a user's mailbox is to be listened to.
type Mailbox struct {
	// User is whose mailbox it is.
	User User
	// Store is where the mailbox lives.
	Store *mailv1.MailStore
	// Permanent is true for a listener that needs no user session.
	Permanent bool
	// CredentialVersion is the version of the stored credential; a grown one
	// resumes a suspended listener.
	CredentialVersion uint64
	// CredentialSlot is where the login is in the vault.
	CredentialSlot uint32
}

// Batch answers a Fetch: all mails of one range of UIDs.
type Batch struct {
	// User is whose mailbox was read.
	User User
	// Box is where the folder ended when it was last looked at.
	Box Box
	// From and Upto are the first and last UID covered. Every mail in between that
	// still exists is in Mails. Upto is below From when there was nothing to read.
	From, Upto uint32
	// Mails are the mails found, by ascending UID.
	Mails []Mail
	// Err tells that nothing was read. The next Head follows when the mailbox is
	// open again; that is the time to ask again.
	Err error
}

// Sink receives what listeners find. Its methods are called on the loop, one at
// a time, and must not block; they may call the loop's own methods.
type Sink interface {
	// Head tells where a folder ends: after each opening, and whenever UIDVALIDITY
	// or UIDNEXT moved. noticed is when the mail store's word of it arrived, or when
	// the mailbox was opened.
	Head(u User, b Box, noticed time.Time)
	// Fetched answers Fetch.
	Fetched(b Batch)
	// Suspended tells that the credential of the given version was refused and is
	// not tried again; reason is for people.
	Suspended(u User, credentialVersion uint64, reason string)
}

// Credentials gives out what opens a mailbox.
type Credentials interface {
	// Login returns the user's login in a slot. An error of kind fault.NotFound means there is
	// none and suspends the listener; any other error is tried again later.
	Login(ctx context.Context, u User, slot uint32) (Login, error)
}

// Status is what a listener is doing.
type Status struct {
	// User is whose listener it is.
	User User
	// Permanent is true for a listener that needs no user session.
	Permanent bool
	// Backend is how it notices new mail.
	Backend string
	// Status is what it is doing.
	listener.Status
}
