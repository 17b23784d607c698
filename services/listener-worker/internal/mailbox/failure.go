// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package mailbox

import "errors"

// Class says what a failure means for the next attempt.
type Class uint8

// The classes. Only the first three can suspend a listener; all others are
// tried again after a back-off, however often they come.
const (
	// ClassRefused means the mail store refused the credential in so many words.
	ClassRefused Class = iota + 1
	// ClassUnexplained means the login was refused without saying why. The third one in
	// a row counts as a refused credential, so that no account is locked out.
	ClassUnexplained
	// ClassNoCredential means there is no credential to log in with.
	ClassNoCredential
	// ClassMasterRefused means the mail store refused the operator's master user. That
	// is nothing a user's new login could mend, and may be true of all mailboxes at once.
	ClassMasterRefused
	// ClassLimit means too many connections or logins.
	ClassLimit
	// ClassUnavailable means the mail store says that it cannot serve right now, or
	// cannot be reached.
	ClassUnavailable
	// ClassTLS means the connection could not be protected; no login was attempted.
	ClassTLS
	// ClassGarbage means the mail store sent something that is not IMAP.
	ClassGarbage
	// ClassClosed means the mail store closed the connection before its greeting.
	ClassClosed
	// ClassTimeout means an answer did not come in time.
	ClassTimeout
	// ClassLost means a working connection went away.
	ClassLost
	// ClassCredentials means the credential could not be asked for.
	ClassCredentials
)

// String returns the label the class has in metrics.
func (c Class) String() string {
	switch c {
	case ClassRefused:
		return "refused"
	case ClassUnexplained:
		return "doubtful"
	case ClassNoCredential:
		return "no_credential"
	case ClassMasterRefused:
		return "master_refused"
	case ClassLimit:
		return "limit"
	case ClassUnavailable:
		return "unavailable"
	case ClassTLS:
		return "tls"
	case ClassGarbage:
		return "garbage"
	case ClassClosed:
		return "closed"
	case ClassTimeout:
		return "timeout"
	case ClassLost:
		return "lost"
	case ClassCredentials:
		return "credentials"
	default:
		return "unknown"
	}
}

// Failure is an error of a mail store, classified once where it was seen.
type Failure struct {
	// Class decides what the listener does about it.
	Class Class
	// Reason is for people, without any secret.
	Reason string
	// Blame is whose fault it is by what was seen; see [Failure.Whose].
	Blame Blame
	// UID is the one mail that was being read when it happened; 0 when it was not one.
	UID uint32
	// Err is the cause, for the log; may be nil.
	Err error
}

// Error implements error with the reason.
func (f *Failure) Error() string { return f.Reason }

// Unwrap returns the cause.
func (f *Failure) Unwrap() error { return f.Err }

// Blame is whose fault a failure is. It decides what ends the wait that follows: what is
// the mail store's is over for all its mailboxes when one of them is served again.
type Blame uint8

// Whose fault it can be.
const (
	// BlameEither is for what one mailbox may have met alone, or all of them.
	BlameEither Blame = iota
	// BlameMailbox is for what concerns this mailbox or its credential, whatever the
	// others meet.
	BlameMailbox
	// BlameStore is for what was seen before this mailbox was as much as named: any other
	// would have met it.
	BlameStore
)

// Whose says whose fault the failure is. A refused credential is its owner's, also where a
// mail store refuses them all: to be tried again and again is what locks accounts.
func (f *Failure) Whose() Blame {
	switch f.Class {
	case ClassRefused, ClassUnexplained, ClassNoCredential, ClassCredentials:
		return BlameMailbox
	default:
		return f.Blame
	}
}

// OfStore puts the blame on the mail store. It is for what is seen before the mailbox.
func (f *Failure) OfStore() *Failure {
	f.Blame = BlameStore
	return f
}

// OfMailbox puts the blame on the mailbox.
func (f *Failure) OfMailbox() *Failure {
	f.Blame = BlameMailbox
	return f
}

// AsFailure is the failure that an error is or wraps. One that was not classified counts
// as a lost connection.
func AsFailure(err error) *Failure {
	if failure, ok := errors.AsType[*Failure](err); ok {
		return failure
	}
	return &Failure{Class: ClassLost, Reason: "the mailbox cannot be used", Err: err}
}
