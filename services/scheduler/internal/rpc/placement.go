// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"context"

	"connectrpc.com/connect"

	"mailpush.internal/pkg/cluster"
	"mailpush.internal/pkg/shard"
	schedulerv1 "mailpush.internal/proto/gen/mailpush/scheduler/v1"
	"mailpush.internal/services/scheduler/internal/assign"
)

// GetPlacement shows where one shard stands between workers.
func (h *Handler) GetPlacement(
	ctx context.Context, request *connect.Request[schedulerv1.GetPlacementRequest],
) (*connect.Response[schedulerv1.GetPlacementResponse], error) {
	snapshot, err := h.source.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	place := assign.Place(h.input(snapshot), shard.ID{Backend: request.Msg.GetBackend(), Number: request.Msg.GetShard()})
	return connect.NewResponse(&schedulerv1.GetPlacementResponse{
		Holder: place.Holder, Granted: place.Granted, Releasing: place.Releasing,
		Capable: place.Capable, NoRoom: place.NoRoom, Leader: snapshot.Leader,
	}), nil
}

// input is the cluster as a plan is made of it, without what a leader remembers of workers
// that come and go.
func (h *Handler) input(snapshot *cluster.Snapshot) assign.Input {
	in := assign.Input{Revision: snapshot.Revision, Shards: h.source.Shards(), Loads: h.source.Loads()}
	for _, entry := range snapshot.Entries {
		in.Entries = append(in.Entries, assign.Entry{
			ID: entry.ID, Worker: entry.Worker, Want: entry.Want, Have: entry.Have,
			Unread: assign.Unread{Worker: entry.Unread.Worker != nil, Want: entry.Unread.Want != nil, Have: entry.Unread.Have != nil},
		})
	}
	return in
}
