// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package doveadm

import "fmt"

// Kind says what an error means for the next attempt.
type Kind int

// The kinds.
const (
	// Down means that doveadm answers nobody.
	Down Kind = iota + 1
	// Denied means that it refuses the API key.
	Denied
	// Broken means that there was no whole answer, and that it is not known whose fault
	// that is.
	Broken
	// Aside means that the user is set aside, because POSTs about it fail.
	Aside
	// TooLarge means that there would be an answer, and that it has too many bytes.
	TooLarge
	// NoUser means that Dovecot knows no such user.
	NoUser
	// Impossible means that the mailbox cannot do what was asked, as metadata where none
	// are kept.
	Impossible
	// Later means that Dovecot asks to try again later.
	Later
	// Refused means any other exit code.
	Refused
)

// String is the label the kind has in metrics.
func (k Kind) String() string {
	switch k {
	case Down:
		return "down"
	case Denied:
		return "denied"
	case Broken:
		return "broken"
	case Aside:
		return "aside"
	case TooLarge:
		return "too_large"
	case NoUser:
		return "no_user"
	case Impossible:
		return "impossible"
	case Later:
		return "later"
	case Refused:
		return "refused"
	default:
		return "unknown"
	}
}

// Error is why there is no answer.
type Error struct {
	Kind Kind
	// All tells that doveadm answers nobody at the moment, whoever is asked for.
	All bool
	// Reason is for people, without any secret.
	Reason string
	// Err is the cause, for the log; may be nil.
	Err error
}

// Error implements error with the reason.
func (e *Error) Error() string { return e.Reason }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// resultOf is the label of how a POST has ended.
func resultOf(err *Error) string {
	if err == nil {
		return "ok"
	}
	return err.Kind.String()
}

// classifyExit says what the exit code of a command means: those of sysexits.h, and
// doveadm's own.
func classifyExit(code int) *Error {
	switch code {
	case 67: // EX_NOUSER
		return &Error{Kind: NoUser, Reason: "Dovecot knows no such user"}
	case 65: // DOVEADM_EX_NOTPOSSIBLE
		return &Error{Kind: Impossible, Reason: "Dovecot cannot do that with this mailbox (exit code 65)"}
	case 68: // DOVEADM_EX_NOTFOUND
		return &Error{Kind: Refused, Reason: "Dovecot does not find the mailbox (exit code 68)"}
	case 75: // EX_TEMPFAIL
		return &Error{Kind: Later, Reason: "Dovecot cannot look at the mailbox now (exit code 75)"}
	case 77: // EX_NOPERM
		return &Error{Kind: Refused, Reason: "Dovecot does not permit that (exit code 77)"}
	default:
		return &Error{Kind: Refused, Reason: fmt.Sprintf("Dovecot refuses it (exit code %d)", code)}
	}
}
