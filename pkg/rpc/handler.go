// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package rpc is how mailpush's services speak Connect: one set of handler options,
// one client, one mapping of errors. Invariant: a caller sees either an answer or a
// Connect error with a public text; details of an unknown error stay in the log.
package rpc

import (
	"context"
	"log/slog"
	"math"
	"net/http"
	"runtime/debug"
	"sync"

	"connectrpc.com/connect"

	"mailpush.internal/pkg/condition"
)

const (
	// MaxPublicBytes bounds a request from outside.
	MaxPublicBytes = 1 << 20
	// MaxInternalBytes bounds a request between services; a page of a shard's
	// mailboxes is the largest.
	MaxInternalBytes = 16 << 20

	// compressAtLeast is how large an answer is that is compressed for those who take it:
	// what fits into a packet anyway costs processor time alone, several times that of the
	// rest of a small call.
	compressAtLeast = 1 << 10
)

// HandlerOptions are the options of every handler: calls have an id, panics are caught,
// requests are bounded to maxBytes and validated, errors mapped. The given interceptors run
// before validation, so that a stranger learns nothing of the fields. Answers are not
// compressed: between services it costs processors more than it saves the network, most of
// all when pages of 1,000 mailboxes are read at a start.
func HandlerOptions(log *slog.Logger, maxBytes int, interceptors ...connect.Interceptor) []connect.HandlerOption {
	chain := append([]connect.Interceptor{requestIDs{}, &publicErrors{log: log}}, interceptors...)
	chain = append(chain, fieldErrors{})
	return []connect.HandlerOption{
		connect.WithReadMaxBytes(maxBytes),
		boundedGzip(maxBytes),
		connect.WithCompressMinBytes(math.MaxInt),
		connect.WithRecover(func(ctx context.Context, spec connect.Spec, _ http.Header, cause any) error {
			log.ErrorContext(ctx, "handler panicked", "procedure", spec.Procedure, "cause", cause, "stack", string(debug.Stack()))
			return connect.NewError(connect.CodeInternal, errInternal)
		}),
		connect.WithInterceptors(chain...),
	}
}

// CompressLarge has large answers compressed, for callers from outside; it goes behind
// [HandlerOptions].
func CompressLarge() connect.HandlerOption { return connect.WithCompressMinBytes(compressAtLeast) }

// publicErrors lets only public texts out of the process and logs the rest: what is broken
// at every call, what is unavailable once for each procedure until it is served again.
type publicErrors struct {
	log    *slog.Logger
	served sync.Map // by procedure: *condition.Condition
}

func (p *publicErrors) public(ctx context.Context, procedure string, err error) error {
	if err == nil {
		p.condition(procedure).Worked(ctx)
		return nil
	}
	out := ForCaller(ctx, err)
	if ended := ctx.Err(); ended != nil && out.Code() == connect.CodeUnavailable {
		return ForCaller(ctx, ended) // by whoever called, not by a service that is away
	}
	switch out.Code() {
	case connect.CodeInternal, connect.CodeDataLoss, connect.CodeUnknown:
		p.log.ErrorContext(ctx, "call could not be served", "procedure", procedure, "error", detail(err))
	case connect.CodeUnavailable:
		p.condition(procedure).Failed(ctx, withDetail{err}, "procedure", procedure)
	default:
	}
	return out
}

func (p *publicErrors) condition(procedure string) *condition.Condition {
	if c, ok := p.served.Load(procedure); ok {
		return c.(*condition.Condition) //nolint:forcetypeassert,errcheck // nothing else is stored
	}
	c, _ := p.served.LoadOrStore(procedure, condition.NewShared(p.log, slog.LevelWarn, "call could not be served"))
	return c.(*condition.Condition) //nolint:forcetypeassert,errcheck // nothing else is stored
}

// withDetail is an error whose text is for the log.
type withDetail struct{ error }

func (e withDetail) Error() string { return detail(e.error) }

func (e withDetail) Unwrap() error { return e.error }

// WrapUnary implements [connect.Interceptor].
func (p *publicErrors) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, request connect.AnyRequest) (connect.AnyResponse, error) {
		response, err := next(ctx, request)
		return response, p.public(ctx, request.Spec().Procedure, err)
	}
}

// WrapStreamingClient implements [connect.Interceptor].
func (*publicErrors) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

// WrapStreamingHandler implements [connect.Interceptor].
func (p *publicErrors) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) error {
		return p.public(ctx, conn.Spec().Procedure, next(ctx, conn))
	}
}
