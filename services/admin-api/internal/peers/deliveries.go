// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	workerv1 "mailpush.internal/proto/gen/mailpush/worker/v1"
	"mailpush.internal/services/admin-api/internal/edge"
	"mailpush.internal/services/admin-api/internal/registry"
)

// Deliveries implements [edge.Workers].
func (w *Workers) Deliveries(ctx context.Context, address string, users []registry.UserID) ([]edge.Delivery, error) {
	req := &workerv1.GetDeliveriesRequest{}
	for _, u := range users {
		req.Users = append(req.Users, u.Wire())
	}
	res, err := call(ctx, "the worker", w.client(address).GetDeliveries, req)
	if err != nil {
		return nil, err
	}
	var out []edge.Delivery
	for _, d := range res.GetDeliveries() {
		out = append(out, edge.Delivery{
			Subscription: d.GetSubscriptionId(), Worker: res.GetWorker(), State: d.GetState(), Lag: d.GetLag(),
			Failures: d.GetFailures(), OldestPending: moment(d.GetOldestPending()), NextTry: moment(d.GetNextTry()),
			LastError: d.GetLastError(),
		})
	}
	return out, nil
}

// SendTest implements [edge.Workers]. How long it may take is the caller's to say.
func (w *Workers) SendTest(ctx context.Context, address string, sub registry.Subscription) (edge.TestResult, error) {
	target := sub.Target.Wire()
	res, err := call(ctx, "the worker", w.client(address).SendTest, &workerv1.SendTestRequest{
		User: sub.UserID.Wire(), SubscriptionId: sub.ID, Target: target,
		WebhookUrl: target.GetWebhook().GetUrl(), //nolint:staticcheck // a worker of the release before knows no target
		SecretSlot: sub.Signing.Slot, PreviousSecretUntil: timestamp(sub.Signing.PreviousUntil),
		PreviousSecretSlot: &sub.Signing.PreviousSlot, HeaderSlot: sub.Headers.Slot,
	})
	if err != nil {
		return edge.TestResult{}, err
	}
	return edge.TestResult{Accepted: res.GetAccepted(), Result: res.GetResult(), Detail: res.GetDetail()}, nil
}

// SendEndings implements [edge.Workers].
func (w *Workers) SendEndings(
	ctx context.Context, address string, user registry.UserID, subs []registry.Subscription, reason string,
) error {
	req := &workerv1.SendEndingsRequest{User: user.Wire(), Reason: reason}
	for _, sub := range subs {
		req.Subscriptions = append(req.Subscriptions, &workerv1.EndedSubscription{
			SubscriptionId: sub.ID, Target: sub.Target.Wire(), SecretSlot: sub.Signing.Slot,
			PreviousSecretUntil: timestamp(sub.Signing.PreviousUntil), PreviousSecretSlot: sub.Signing.PreviousSlot,
			HeaderSlot: sub.Headers.Slot,
		})
	}
	_, err := call(ctx, "the worker", w.client(address).SendEndings, req)
	return err
}

// timestamp is the reverse of moment.
func timestamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}
