// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"context"

	"connectrpc.com/connect"

	workerv1 "mailpush.internal/proto/gen/mailpush/worker/v1"
	"mailpush.internal/services/listener-worker/internal/listen"
)

// Retry implements WorkerService.
func (h *Handler) Retry(
	ctx context.Context, request *connect.Request[workerv1.RetryRequest],
) (*connect.Response[workerv1.RetryResponse], error) {
	did, err := h.worker.Retry(ctx, listen.Which{Store: request.Msg.GetMailStore(), User: userOf(request.Msg.GetUser())})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&workerv1.RetryResponse{
		Worker: h.worker.ID(), Listeners: uint32(did.Told), Suspended: uint32(did.Suspended),
	}), nil
}
