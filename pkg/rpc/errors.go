// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"context"
	"errors"

	"connectrpc.com/connect"

	"mailpush.internal/pkg/fault"
)

// codes is the one place where a kind becomes a Connect code and back.
func codes() map[fault.Kind]connect.Code {
	return map[fault.Kind]connect.Code{
		fault.Invalid:         connect.CodeInvalidArgument,
		fault.NotFound:        connect.CodeNotFound,
		fault.Denied:          connect.CodePermissionDenied,
		fault.Unauthenticated: connect.CodeUnauthenticated,
		fault.Precondition:    connect.CodeFailedPrecondition,
		fault.Unavailable:     connect.CodeUnavailable,
		fault.DataLoss:        connect.CodeDataLoss,
		fault.Exhausted:       connect.CodeResourceExhausted,
	}
}

// ToConnect turns an error into what a caller may see: a fault keeps its kind and
// message, a Connect error stays as it is, anything else is "internal error".
func ToConnect(err error) *connect.Error {
	if public := new(connect.Error); errors.As(err, &public) {
		return public
	}
	if f := new(fault.Error); errors.As(err, &f) {
		if code, ok := codes()[f.Kind]; ok {
			return connect.NewError(code, errors.New(f.Message))
		}
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return connect.NewError(connect.CodeDeadlineExceeded, errors.New("the call took too long"))
	case errors.Is(err, context.Canceled):
		return connect.NewError(connect.CodeCanceled, errors.New("the call was cancelled"))
	}
	return connect.NewError(connect.CodeInternal, errors.New("internal error"))
}

// FromConnect turns the error of a call into a fault of the same kind, so that
// only this package knows Connect's codes. Time-outs count as Unavailable.
func FromConnect(err error) error {
	if err == nil {
		return nil
	}
	called := new(connect.Error)
	if !errors.As(err, &called) {
		return fault.Wrap(fault.Unavailable, err, "the service could not be reached")
	}
	for kind, code := range codes() {
		if called.Code() == code {
			return fault.Wrap(kind, err, "%s", called.Message())
		}
	}
	switch called.Code() {
	case connect.CodeDeadlineExceeded, connect.CodeCanceled, connect.CodeAborted:
		return fault.Wrap(fault.Unavailable, err, "%s", called.Message())
	default:
		return fault.Wrap(fault.Internal, err, "%s", called.Message())
	}
}
