// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package rpc serves SchedulerService from what is stored in etcd, so that every
// replica answers alike. Invariant: what it shows as run by a worker was reported by
// that worker, and the worker is live.
package rpc

import (
	"context"

	"connectrpc.com/connect"

	"mailpush.internal/pkg/cluster"
	"mailpush.internal/pkg/shard"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	schedulerv1 "mailpush.internal/proto/gen/mailpush/scheduler/v1"
	"mailpush.internal/services/scheduler/internal/assign"
)

// Source is what the answers are made from.
type Source interface {
	// Snapshot reads the cluster.
	Snapshot(ctx context.Context) (*cluster.Snapshot, error)
	// Shards is the number of shards per backend.
	Shards() uint32
	// Loads returns what the registry last said of the shards.
	Loads() assign.Loads
}

// Handler implements schedulerv1connect.SchedulerServiceHandler.
type Handler struct{ source Source }

// New returns the handler.
func New(source Source) *Handler { return &Handler{source} }

// ListWorkers shows the live workers, also those of which not all can be read.
func (h *Handler) ListWorkers(ctx context.Context, _ *connect.Request[schedulerv1.ListWorkersRequest]) (*connect.Response[schedulerv1.ListWorkersResponse], error) {
	snapshot, err := h.source.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	loads := h.source.Loads()
	response := &schedulerv1.ListWorkersResponse{Leader: snapshot.Leader, Shards: h.source.Shards()}
	for _, entry := range snapshot.Entries {
		if entry.Worker != nil || entry.Unread.Worker != nil {
			response.Workers = append(response.Workers, worker(entry, loads))
		}
	}
	return connect.NewResponse(response), nil
}

func worker(entry cluster.Entry, loads assign.Loads) *schedulerv1.Worker {
	return &schedulerv1.Worker{
		Id:        entry.ID,
		Address:   entry.Worker.GetAddress(),
		Backends:  entry.Worker.GetBackends(),
		Capacity:  entry.Worker.GetCapacity(),
		Zone:      entry.Worker.GetZone(),
		Version:   entry.Worker.GetVersion(),
		Draining:  entry.Worker.GetDraining(),
		StartedAt: entry.Worker.GetStartedAt(),
		Held:      entry.Have.GetHeld(),
		Listeners: listeners(entry.Have.GetHeld(), loads),
		Unread:    entry.Unread != cluster.Unread{},
	}
}

// listeners counts what the shards need: whether it runs, only the worker knows.
func listeners(held []*mailv1.ShardSet, loads assign.Loads) uint32 {
	var sum uint32
	for _, set := range held {
		for _, number := range set.GetShards() {
			sum += loads.Listeners[shard.ID{Backend: set.GetBackend(), Number: number}]
		}
	}
	return sum
}
