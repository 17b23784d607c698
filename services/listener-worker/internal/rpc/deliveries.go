// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"context"
	"math"

	"connectrpc.com/connect"

	"mailpush.internal/pkg/fault"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	registryv1 "mailpush.internal/proto/gen/mailpush/registry/v1"
	workerv1 "mailpush.internal/proto/gen/mailpush/worker/v1"
	"mailpush.internal/services/listener-worker/internal/deliver"
	"mailpush.internal/services/listener-worker/internal/deliver/pump"
	"mailpush.internal/services/listener-worker/internal/mailbox"
	"mailpush.internal/services/listener-worker/internal/transport"
)

// Deliveries are what a worker delivers; see [deliver.Loop].
type Deliveries interface {
	Status(ctx context.Context, users []mailbox.User) ([]deliver.Status, error)
	Explain(ctx context.Context, user mailbox.User) (deliver.Explanation, error)
	Test(ctx context.Context, user mailbox.User, subscription *transport.Subscription) transport.Result
	End(ctx context.Context, user mailbox.User, subscription *transport.Subscription, reason string) error
}

// GetDeliveries implements WorkerService.
func (h *Handler) GetDeliveries(
	ctx context.Context, request *connect.Request[workerv1.GetDeliveriesRequest],
) (*connect.Response[workerv1.GetDeliveriesResponse], error) {
	statuses, err := h.worker.Deliveries.Status(ctx, usersOf(request.Msg.GetUsers()))
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "the worker does not deliver at the moment")
	}
	response := &workerv1.GetDeliveriesResponse{Worker: h.worker.ID()}
	for _, status := range statuses {
		response.Deliveries = append(response.Deliveries, deliveryOf(status))
	}
	return connect.NewResponse(response), nil
}

func deliveryOf(status deliver.Status) *workerv1.Delivery {
	return &workerv1.Delivery{
		SubscriptionId: status.Subscription,
		Cursor:         &mailv1.Cursor{Folder: status.Folder, UidValidity: status.Cursor.UIDValidity, Uid: status.Cursor.UID},
		Lag:            status.Lag,
		OldestPending:  timestamp(status.OldestPending),
		State:          stateOf(status.State),
		Failures:       uint32(min(max(status.Failures, 0), math.MaxInt32)),
		NextTry:        timestamp(status.NextTry),
		LastError:      status.LastError,
	}
}

func stateOf(state pump.State) workerv1.DeliveryState {
	switch state {
	case pump.Idle:
		return workerv1.DeliveryState_DELIVERY_STATE_IDLE
	case pump.Busy:
		return workerv1.DeliveryState_DELIVERY_STATE_BUSY
	case pump.Gathering:
		return workerv1.DeliveryState_DELIVERY_STATE_GATHERING
	case pump.Backoff:
		return workerv1.DeliveryState_DELIVERY_STATE_BACKOFF
	case pump.AwaitsOrigin:
		return workerv1.DeliveryState_DELIVERY_STATE_WAITING_FOR_ORIGIN
	case pump.Unconfirmed:
		return workerv1.DeliveryState_DELIVERY_STATE_UNCONFIRMED
	}
	return workerv1.DeliveryState_DELIVERY_STATE_UNSPECIFIED
}

// SendTest implements WorkerService.
func (h *Handler) SendTest(
	ctx context.Context, request *connect.Request[workerv1.SendTestRequest],
) (*connect.Response[workerv1.SendTestResponse], error) {
	result := h.worker.Deliveries.Test(ctx, userOf(request.Msg.GetUser()), transport.SubscriptionOf(&registryv1.Subscription{
		Id:                  request.Msg.GetSubscriptionId(),
		Target:              request.Msg.GetTarget(),
		WebhookUrl:          request.Msg.GetWebhookUrl(), //nolint:staticcheck // an admin-api of the release before names no target
		SecretSlot:          request.Msg.GetSecretSlot(),
		PreviousSecretUntil: request.Msg.GetPreviousSecretUntil(),
		PreviousSecretSlot:  request.Msg.PreviousSecretSlot,
		HeaderSlot:          request.Msg.GetHeaderSlot(),
	}))
	return connect.NewResponse(&workerv1.SendTestResponse{
		Accepted: result.Class == transport.OK, Result: result.Class.String(), Detail: result.Detail,
	}), nil
}
