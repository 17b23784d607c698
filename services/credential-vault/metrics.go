// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"context"
	"errors"
	"fmt"
	"path"
	"time"

	"connectrpc.com/connect"
	"github.com/prometheus/client_golang/prometheus"

	"mailpush.internal/pkg/rpc"
)

// meter counts calls and times them, refused ones too. Users are no labels.
func meter(registry *prometheus.Registry) (connect.Interceptor, error) {
	calls := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "mailpush_vault_calls_total",
		Help: "Calls answered, by procedure and result: ok or the error's code.",
	}, []string{"procedure", "result"})
	duration := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "mailpush_vault_call_duration_seconds",
		Help:    "Time to answer a call, by procedure.",
		Buckets: prometheus.ExponentialBuckets(0.0005, 2, 12), // 0.5 ms to 1 s
	}, []string{"procedure"})
	if err := errors.Join(registry.Register(calls), registry.Register(duration)); err != nil {
		return nil, fmt.Errorf("registering the vault's metrics: %w", err)
	}

	return connect.UnaryInterceptorFunc(func(next connect.UnaryFunc) connect.UnaryFunc {
		return func(ctx context.Context, request connect.AnyRequest) (connect.AnyResponse, error) {
			begin, procedure, result := time.Now(), path.Base(request.Spec().Procedure), "ok"
			response, err := next(ctx, request)
			if err != nil {
				result = rpc.ToConnect(err).Code().String()
			}
			calls.WithLabelValues(procedure, result).Inc()
			duration.WithLabelValues(procedure).Observe(time.Since(begin).Seconds())
			return response, err
		}
	}), nil
}
