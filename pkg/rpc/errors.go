// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"context"
	"errors"
	"math"
	"strconv"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"

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
// message, a Connect error stays as it is, anything else is "internal error". Of a fault
// and a Connect error in one chain the outer one counts: a Connect error inside a fault
// is what a call to another service came to, and may tell of the network.
func ToConnect(err error) *connect.Error {
	f, faulty := errors.AsType[*fault.Error](err)
	if public, ok := errors.AsType[*connect.Error](err); ok && (!faulty || !errors.Is(f, public)) {
		return public
	}
	if faulty {
		if code, ok := codes()[f.Kind]; ok {
			return later(connect.NewError(code, errors.New(f.Message)), f.RetryAfter)
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

// usualWait is when to come back to a limit that does not say it itself.
const usualWait = time.Minute

// later tells in Retry-After (RFC 9110 section 10.2.3) when to come back. Whoever is
// refused for a limit is always told: who is not, comes back at once.
func later(err *connect.Error, wait time.Duration) *connect.Error {
	if wait <= 0 && err.Code() == connect.CodeResourceExhausted {
		wait = usualWait
	}
	if wait > 0 {
		err.Meta().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
	}
	return err
}

// ForCaller is what the caller of ctx may see of an error, with the id of the call as a
// google.rpc.RequestInfo: whoever asks why shows the error, not its headers.
func ForCaller(ctx context.Context, err error) *connect.Error {
	out := ToConnect(err)
	id := RequestID(ctx)
	if id == "" {
		return out
	}
	if info, err := connect.NewErrorDetail(&errdetails.RequestInfo{RequestId: id}); err == nil {
		out.AddDetail(info)
	}
	return out
}

// InAnswer is what may be seen of an error that is a part of an answer, beside others: its
// code as Connect writes it, and its text. FromAnswer is its inverse.
func InAnswer(err error) (code, message string) {
	public := ToConnect(err)
	return public.Code().String(), public.Message()
}

// FromAnswer turns the code and text of a part of an answer into a fault, nil where there
// is no code.
func FromAnswer(code, message string) error {
	if code == "" {
		return nil
	}
	for kind, known := range codes() {
		if known.String() == code {
			return fault.New(kind, "%s", message)
		}
	}
	if code == connect.CodeDeadlineExceeded.String() || code == connect.CodeCanceled.String() {
		return fault.New(fault.Unavailable, "%s", message)
	}
	return fault.New(fault.Internal, "%s", message)
}

// FromConnect turns the error of a call to who into a fault, so that only this package
// knows Connect's codes. An answer keeps its kind and words, time-outs count as
// Unavailable; so does all that came between, and its words stay inside.
func FromConnect(who string, err error) error {
	if err == nil {
		return nil
	}
	answered, ok := errors.AsType[*connect.Error](err)
	if !ok || !connect.IsWireError(err) {
		return fault.Wrap(fault.Unavailable, err, "%s does not answer", who)
	}
	for kind, code := range codes() {
		if answered.Code() == code {
			return fault.Wrap(kind, err, "%s", answered.Message())
		}
	}
	switch answered.Code() {
	case connect.CodeDeadlineExceeded, connect.CodeCanceled, connect.CodeAborted:
		return fault.Wrap(fault.Unavailable, err, "%s", answered.Message())
	default:
		return fault.Wrap(fault.Internal, err, "%s", answered.Message())
	}
}
