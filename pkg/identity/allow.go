// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"connectrpc.com/connect"
)

type callerKey struct{}

// Middleware notes the calling service, whose certificate the TLS layer has
// verified, in the request's context.
func Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
			// The cluster is the TLS layer's to check. Who has no name is nobody.
			if _, service, err := named(r.TLS.PeerCertificates[0]); err == nil {
				r = r.WithContext(context.WithValue(r.Context(), callerKey{}, service))
			}
		}
		next.ServeHTTP(w, r)
	})
}

// Caller returns the name of the calling service, empty when none has shown itself.
func Caller(ctx context.Context) string {
	name, _ := ctx.Value(callerKey{}).(string)
	return name
}

// Allow refuses every call whose caller is not listed for its procedure. A
// procedure that is not in rules is closed to all.
func Allow(rules map[string][]string) connect.Interceptor {
	return allow(rules)
}

type allow map[string][]string

func (a allow) check(ctx context.Context, procedure string) error {
	caller := Caller(ctx)
	if caller != "" && slices.Contains(a[procedure], caller) {
		return nil
	}
	if caller == "" {
		return connect.NewError(connect.CodeUnauthenticated, fmt.Errorf("%s needs a service's certificate", procedure))
	}
	return connect.NewError(connect.CodePermissionDenied, fmt.Errorf("%s may not call %s", caller, procedure))
}

// WrapUnary implements [connect.Interceptor].
func (a allow) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, request connect.AnyRequest) (connect.AnyResponse, error) {
		if err := a.check(ctx, request.Spec().Procedure); err != nil {
			return nil, err
		}
		return next(ctx, request)
	}
}

// WrapStreamingClient implements [connect.Interceptor]; clients are not checked here.
func (a allow) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

// WrapStreamingHandler implements [connect.Interceptor].
func (a allow) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) error {
		if err := a.check(ctx, conn.Spec().Procedure); err != nil {
			return err
		}
		return next(ctx, conn)
	}
}
