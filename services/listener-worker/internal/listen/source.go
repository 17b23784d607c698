// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"context"
	"errors"
	"time"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/listen/machine"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// ErrIdleRefused is what [Idler.Idle] returns, wrapped, when the mail store will not
// have IDLE on a connection that is otherwise fine.
var ErrIdleRefused = errors.New("mail store refused IDLE")

// Source is a backend: a way to notice new mail and to read it. All errors it and its
// readers return are a [mailbox.Failure], or wrap [ErrIdleRefused]. It is safe for
// concurrent use.
//
// A source that is told of changes while no mailbox is open hands them to [Loop.Hint].
type Source interface {
	// Open opens a mailbox for reading. It asks login for the credential when the mail
	// store is ready to take it, and may do without. notify is told of what comes from
	// then on, and of nothing once the reader was closed.
	Open(ctx context.Context, of mailbox.Listening, login LoginFunc, notify Notify) (Reader, Opening, error)
	// Baseline tells where a mailbox ends, for somebody who wants to know it once. The
	// kind of an error is fault.Unauthenticated when the credential was refused and
	// fault.Unavailable for anything else.
	Baseline(ctx context.Context, store *mailv1.MailStore, login mailbox.Login) (mailbox.End, error)
}

// Keeper is a source that keeps something for a listener while no mailbox is open, here or
// at the mail store.
type Keeper interface {
	Source

	// Forget tells that a listener has ended, and whether nobody wants it any more: then
	// what is kept at the mail store goes, too. Otherwise another worker may need it. It
	// does not block.
	Forget(of mailbox.Listening, login LoginFunc, unwanted bool)
}

// Resumer is a source that can read a mailbox without a look at where it ends first.
type Resumer interface {
	Source

	// Resume returns a reader of a mailbox that is known to end somewhere, nil where it has
	// to be opened. It does not block.
	Resume(of mailbox.Listening, end mailbox.End) (Reader, Opening)
}

// LoginFunc gets the credential; its result is not kept.
type LoginFunc func(context.Context) (mailbox.Login, error)

// Opening is what became known by opening a mailbox. Version is also filled in when the
// login failed.
type Opening struct {
	End mailbox.End
	// Waits is how changes are noticed from now on.
	Waits machine.Waits
	// Registration is whether the mail store knows where to tell of changes.
	Registration mailv1.Registration
	// Note is why changes may be noticed late; empty when they are noticed at once.
	Note string
	// Again is how soon to look again without a hint; zero means as usual.
	Again time.Duration
	// Unproven tells that End was not looked at.
	Unproven bool
	// Version is that of the credential that was used.
	Version uint64
}

// Notify is told of what a mailbox that is open says by itself, from any goroutine.
type Notify interface {
	// Noticed tells that the folder changed; the word arrived at the given time.
	Noticed(at time.Time)
	// Lost tells, once, that a reader with no operation in flight is of no more use.
	Lost(f *mailbox.Failure)
}

// Nobody is a [Notify] that takes no notice.
type Nobody struct{}

// Noticed implements [Notify].
func (Nobody) Noticed(time.Time) {}

// Lost implements [Notify].
func (Nobody) Lost(*mailbox.Failure) {}

// Reader reads one mailbox that is open. Its operations block, and are called one at a
// time; between them, and while IDLE stands, it may hold whatever costs least.
type Reader interface {
	// Check looks where the folder ends.
	Check(look mailbox.Look) (mailbox.Checkup, error)
	// Fetch reads a range of UIDs, or the first mails of it.
	Fetch(want mailbox.Range) (mailbox.Reading, error)
	// Close gives the mailbox up at once, without a word, also while an operation is in
	// flight. It does not block.
	Close()
}

// ErrNoAnnotations is what an [Annotator] returns, wrapped, when the mail store keeps no
// annotations, or not this one; the connection is otherwise fine.
var ErrNoAnnotations = errors.New("mail store keeps no such annotation")

// Annotator is a reader of a mail store that may keep annotations of its own (RFC 5464).
type Annotator interface {
	Reader

	// Annotation is what is kept under a name; empty when nothing is.
	Annotation(name string) (string, error)
	// SetAnnotation keeps a value under a name; an empty one takes it away.
	SetAnnotation(name, value string) error
}

// Idler is a reader at which IDLE can stand (RFC 2177), as one must be whose opening
// says [machine.ByIdle].
type Idler interface {
	Reader

	// Idle returns when the mail store has confirmed IDLE, which then stands until the
	// next operation.
	Idle() error
}
