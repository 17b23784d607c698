// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package fault is the one error type for places where a caller must branch or a
// person must read. Invariant: Error() of a *Error is fit to be shown outside the
// process; the cause behind it is reached only by errors.Is and As, and by logs.
package fault

import (
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Kind says what a caller can do about an error.
type Kind int

// The kinds. Each maps to one Connect code in package rpc.
const (
	// Internal is a fault of ours; its text never leaves the process.
	Internal Kind = iota
	// Invalid means the request is wrong and will stay wrong.
	Invalid
	// NotFound means the thing named does not exist.
	NotFound
	// Denied means the caller is known and may not do this.
	Denied
	// Unauthenticated means the caller is not known.
	Unauthenticated
	// Precondition means the system's state refuses it, e.g. a fenced epoch.
	Precondition
	// Unavailable means trying again later may help.
	Unavailable
	// DataLoss means stored data does not open or decode.
	DataLoss
	// Exhausted means a limit was reached.
	Exhausted
)

// Error carries a Kind and a public message.
type Error struct {
	Kind    Kind
	Message string // fit to be shown to whoever called
	Err     error  // the cause, for the log; may be nil

	// RetryAfter is when it is worth trying again; 0 where nobody knows.
	RetryAfter time.Duration
}

// New makes an error of a kind with a public message.
func New(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// Field makes an Invalid error about one field, named as the caller knows it.
func Field(name, format string, args ...any) *Error {
	return New(Invalid, "%s: %s", name, fmt.Sprintf(format, args...))
}

// Wrap gives a cause a kind and a public message; the cause stays inside.
func Wrap(kind Kind, err error, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...), Err: err}
}

// Error implements error with the public message.
func (e *Error) Error() string { return e.Message }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// LogValue implements [slog.LogValuer]: a log shows the cause, too.
func (e *Error) LogValue() slog.Value {
	if e.Err == nil {
		return slog.StringValue(e.Message)
	}
	return slog.StringValue(e.Message + ": " + e.Err.Error())
}

// KindOf returns the kind of the first *Error in err's tree, Internal if there is none.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Internal
}
