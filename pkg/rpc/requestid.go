// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"strings"

	"connectrpc.com/connect"
)

// RequestIDHeader carries the id of a call, there and back, and from service to service:
// what is logged anywhere on behalf of a call is found by it.
const RequestIDHeader = "X-Request-Id"

// maxRequestID bounds an id that a caller has made up.
const maxRequestID = 128

type requestIDKey struct{}

// WithRequestID is ctx for a call of the given id, or of one made here when that is none:
// it is written into logs and headers, so it is short and printable.
func WithRequestID(ctx context.Context, given string) context.Context {
	if !saneRequestID(given) {
		given = "req_" + strings.ToLower(rand.Text())
	}
	return context.WithValue(ctx, requestIDKey{}, given)
}

// RequestID is the id of the call that ctx is of; empty when it is of none.
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

func saneRequestID(id string) bool {
	if id == "" || len(id) > maxRequestID {
		return false
	}
	return !strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r > '~' })
}

// RequestIDs gives each request an id before anything else looks at it, and returns it in
// each answer.
func RequestIDs(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := WithRequestID(r.Context(), r.Header.Get(RequestIDHeader))
		w.Header().Set(RequestIDHeader, RequestID(ctx))
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// requestIDs gives an id to each call that has none yet.
type requestIDs struct{}

func named(ctx context.Context, header http.Header) context.Context {
	if RequestID(ctx) != "" {
		return ctx
	}
	return WithRequestID(ctx, header.Get(RequestIDHeader))
}

// WrapUnary implements [connect.Interceptor].
func (requestIDs) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, request connect.AnyRequest) (connect.AnyResponse, error) {
		return next(named(ctx, request.Header()), request)
	}
}

// WrapStreamingClient implements [connect.Interceptor].
func (requestIDs) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

// WrapStreamingHandler implements [connect.Interceptor].
func (requestIDs) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) error {
		return next(named(ctx, conn.RequestHeader()), conn)
	}
}

// handsOn gives a request that is made on behalf of a call the id of that.
type handsOn struct{ *http.Transport }

// RoundTrip implements [http.RoundTripper].
func (h handsOn) RoundTrip(r *http.Request) (*http.Response, error) {
	if id := RequestID(r.Context()); id != "" && r.Header.Get(RequestIDHeader) == "" {
		r = r.Clone(r.Context()) // a RoundTripper changes no request
		r.Header.Set(RequestIDHeader, id)
	}
	return h.Transport.RoundTrip(r)
}

// LogRequestIDs has each line that is about a call say which: request_id.
func LogRequestIDs(next slog.Handler) slog.Handler { return withRequestIDs{next} }

type withRequestIDs struct{ slog.Handler }

// Handle implements [slog.Handler].
func (h withRequestIDs) Handle(ctx context.Context, line slog.Record) error {
	if id := RequestID(ctx); id != "" {
		line = line.Clone() // its attributes may be shared
		line.AddAttrs(slog.String("request_id", id))
	}
	return h.Handler.Handle(ctx, line)
}

// WithAttrs implements [slog.Handler].
func (h withRequestIDs) WithAttrs(attrs []slog.Attr) slog.Handler {
	return withRequestIDs{h.Handler.WithAttrs(attrs)}
}

// WithGroup implements [slog.Handler].
func (h withRequestIDs) WithGroup(name string) slog.Handler {
	return withRequestIDs{h.Handler.WithGroup(name)}
}
