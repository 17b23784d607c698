// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package listener

import (
	"context"
	"errors"
	"time"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
)

// ErrIdleRefused is what Conn.Idle returns, wrapped, when the mail store will
// not have IDLE on a connection that is otherwise fine.
var ErrIdleRefused = errors.New("mail store refused IDLE")

// Backend opens mailboxes. All errors it and its connections return are a
// *Failure, or wrap ErrIdleRefused.
type Backend interface {
	// Open connects to the store, asks login for the credential when the mail store
	// is ready for it, and opens the folder read-only. notify is told of what comes
	// from then on, and of nothing once Close was called.
	Open(ctx context.Context, store *mailv1.MailStore, login LoginFunc, notify Notify) (Conn, Opening, error)
}

// LoginFunc gets the credential; its result is not kept.
type LoginFunc func(context.Context) (Login, error)

// Opening is what became known by opening a mailbox. Version is also filled in
// when the login failed.
type Opening struct {
	Box     Box
	CanIdle bool
	Version uint64
}

// Notify is told of what a connection says by itself, from any goroutine.
type Notify interface {
	// Noticed tells that the folder changed; the word arrived at the given time.
	Noticed(at time.Time)
	// Lost tells, once, that a connection with no operation in flight has ended.
	Lost(f *Failure)
}

// Conn is one open mailbox. Its operations block, and are called one at a time;
// between them, and while IDLE stands, a connection may be parked in whatever
// form costs least.
type Conn interface {
	// Idle returns when the mail store has confirmed IDLE, which then stands until
	// the next operation.
	Idle() error
	// Check returns where the folder ends. The time is when the mail store spoke of a
	// change while it was made to look, or zero.
	Check(look Look) (Box, time.Time, error)
	// Fetch returns mails of the UIDs from to upto, by ascending UID, and the last
	// UID that it covered, which may be lower than upto.
	Fetch(from, upto uint32) ([]Mail, uint32, error)
	// Close gives the connection up at once, without a word, also while an operation
	// is in flight. It does not block.
	Close()
}
