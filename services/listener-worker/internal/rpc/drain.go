// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"context"

	"connectrpc.com/connect"

	"mailpush.internal/pkg/fault"
	workerv1 "mailpush.internal/proto/gen/mailpush/worker/v1"
)

// SetDraining implements WorkerService.
func (h *Handler) SetDraining(
	ctx context.Context, request *connect.Request[workerv1.SetDrainingRequest],
) (*connect.Response[workerv1.SetDrainingResponse], error) {
	if meant := request.Msg.GetWorker(); meant != "" && meant != h.worker.ID() {
		return nil, fault.New(fault.NotFound, "worker %q is not registered at this address any more", meant)
	}
	if err := h.worker.SetDraining(ctx, request.Msg.GetDraining()); err != nil {
		return nil, err
	}
	return connect.NewResponse(&workerv1.SetDrainingResponse{}), nil
}
