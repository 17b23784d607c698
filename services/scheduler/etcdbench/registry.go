// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"strconv"

	"connectrpc.com/connect"

	"mailpush.internal/pkg/identity"
	"mailpush.internal/pkg/service"
	"mailpush.internal/pkg/shard"
	registryv1 "mailpush.internal/proto/gen/mailpush/registry/v1"
	"mailpush.internal/proto/gen/mailpush/registry/v1/registryv1connect"
)

// registry is admin-api as the scheduler needs it.
type registry struct {
	registryv1connect.UnimplementedRegistryServiceHandler

	loads    []*registryv1.ShardLoad
	maxEpoch func() uint64
}

// newRegistry counts where users of one context end up, a listener each.
func newRegistry(size dimensions, maxEpoch func() uint64) *registry {
	counts := make([]uint32, size.shards)
	for user := range size.listeners {
		counts[shard.Of("1", strconv.Itoa(user), uint32(size.shards))]++
	}
	r := &registry{maxEpoch: maxEpoch}
	for number, listeners := range counts {
		r.loads = append(r.loads, &registryv1.ShardLoad{Backend: backend, Shard: uint32(number), Listeners: listeners})
	}
	return r
}

// ShardLoads tells the loads.
func (r *registry) ShardLoads(context.Context, *connect.Request[registryv1.ShardLoadsRequest]) (*connect.Response[registryv1.ShardLoadsResponse], error) {
	return connect.NewResponse(&registryv1.ShardLoadsResponse{Loads: r.loads, MaxEpoch: r.maxEpoch()}), nil
}

// startRegistry serves the registry and returns its address.
func (w *world) startRegistry(ctx context.Context) (string, error) {
	id, err := w.authority.Issue(identity.Admin)
	if err != nil {
		return "", err
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	mux := http.NewServeMux()
	mux.Handle(registryv1connect.NewRegistryServiceHandler(w.registry))
	w.background(ctx, func(ctx context.Context) error {
		return service.Serve(ctx, slog.New(slog.DiscardHandler), "registry", l, id.ServerTLS(), mux)
	})
	return l.Addr().String(), nil
}
