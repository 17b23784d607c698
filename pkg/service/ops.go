// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"connectrpc.com/connect"
	"connectrpc.com/grpchealth"
	"connectrpc.com/grpcreflect"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// readyTimeout bounds one readiness check: a probe must not pile up behind a
// dependency that hangs.
const readyTimeout = 2 * time.Second

// OpsHandler serves what operators and orchestrators look at: /healthz (the process
// answers), /readyz (ready says it can do its work), /metrics, the gRPC health
// protocol for the named RPC services, and reflection of them. It has no secrets
// and changes nothing, but belongs on a private address.
func OpsHandler(rt Runtime, ready func(context.Context) error, rpcServices ...string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "ok\n")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
		defer cancel()
		if err := ready(ctx); err != nil {
			http.Error(w, "not ready: "+err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "ready\n")
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(rt.Metrics, promhttp.HandlerOpts{}))
	MountHealth(mux, ready, rpcServices...)
	reflector := grpcreflect.NewStaticReflector(rpcServices...)
	mux.Handle(grpcreflect.NewHandlerV1(reflector, anybody()...))
	mux.Handle(grpcreflect.NewHandlerV1Alpha(reflector, anybody()...))
	return mux
}

// healthBytes bounds what is asked of health and reflection: names of services and symbols.
const healthBytes = 16 << 10

// anybody are the options of handlers that anybody may ask who reaches the port: what is
// asked is bounded, and not compressed.
func anybody() []connect.HandlerOption {
	return []connect.HandlerOption{connect.WithReadMaxBytes(healthBytes), connect.WithCompression("gzip", nil, nil)}
}

// MountHealth adds the gRPC health protocol for the named services, on a public port, too.
// Reflection is for operators: [OpsHandler] alone has it.
func MountHealth(mux *http.ServeMux, ready func(context.Context) error, rpcServices ...string) {
	known := make(map[string]bool, len(rpcServices)+1)
	known[""] = true
	for _, name := range rpcServices {
		known[name] = true
	}
	mux.Handle(grpchealth.NewHandler(checker{ready: ready, known: known}, anybody()...))
}

// checker answers the gRPC health protocol from the readiness check.
type checker struct {
	ready func(context.Context) error
	known map[string]bool
}

// Check implements [grpchealth.Checker].
func (c checker) Check(ctx context.Context, request *grpchealth.CheckRequest) (*grpchealth.CheckResponse, error) {
	if !c.known[request.Service] {
		return nil, connect.NewError(connect.CodeNotFound, fmt.Errorf("no such service: %q", request.Service))
	}
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	if err := c.ready(ctx); err != nil {
		return &grpchealth.CheckResponse{Status: grpchealth.StatusNotServing}, nil // not serving is the answer
	}
	return &grpchealth.CheckResponse{Status: grpchealth.StatusServing}, nil
}
