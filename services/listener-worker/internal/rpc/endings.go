// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"context"
	"sync"
	"sync/atomic"

	"connectrpc.com/connect"

	registryv1 "mailpush.internal/proto/gen/mailpush/registry/v1"
	workerv1 "mailpush.internal/proto/gen/mailpush/worker/v1"
	"mailpush.internal/services/listener-worker/internal/transport"
)

// endingsAtOnce bounds the signing secrets that one call opens at a time.
const endingsAtOnce = 8

// SendEndings implements WorkerService. What cannot be signed is left out: who asks cannot
// do anything about it.
func (h *Handler) SendEndings(
	ctx context.Context, request *connect.Request[workerv1.SendEndingsRequest],
) (*connect.Response[workerv1.SendEndingsResponse], error) {
	var sent atomic.Uint32
	var wg sync.WaitGroup
	room := make(chan struct{}, endingsAtOnce)
	for _, ended := range request.Msg.GetSubscriptions() {
		room <- struct{}{}
		wg.Go(func() {
			defer func() { <-room }()
			err := h.worker.Deliveries.End(ctx, userOf(request.Msg.GetUser()), endedOf(ended), request.Msg.GetReason())
			if err == nil {
				sent.Add(1)
			}
		})
	}
	wg.Wait()
	return connect.NewResponse(&workerv1.SendEndingsResponse{Sent: sent.Load()}), nil
}

func endedOf(ended *workerv1.EndedSubscription) *transport.Subscription {
	slot := ended.GetPreviousSecretSlot()
	return transport.SubscriptionOf(&registryv1.Subscription{
		Id: ended.GetSubscriptionId(), Target: ended.GetTarget(), Confirmed: true,
		SecretSlot: ended.GetSecretSlot(), PreviousSecretUntil: ended.GetPreviousSecretUntil(), PreviousSecretSlot: &slot,
		HeaderSlot: ended.GetHeaderSlot(),
	})
}
