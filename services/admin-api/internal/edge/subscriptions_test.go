// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mailpush.internal/pkg/fault"
	adminv1 "mailpush.internal/proto/gen/mailpush/admin/v1"
	workerv1 "mailpush.internal/proto/gen/mailpush/worker/v1"
	"mailpush.internal/services/admin-api/internal/registry"
)

func TestStand(t *testing.T) {
	t.Parallel()
	at := func(minute int) time.Time { return time.Date(2026, 11, 1, 10, minute, 0, 0, time.UTC) }
	delivery := func(state workerv1.DeliveryState) Delivery { return Delivery{State: state, Worker: "w1"} }
	waits := Delivery{
		State: workerv1.DeliveryState_DELIVERY_STATE_WAITING_FOR_ORIGIN, Worker: "w1", Lag: 3, NextTry: at(7), LastError: "its origin fails: 503",
	}
	idle, busy := delivery(workerv1.DeliveryState_DELIVERY_STATE_IDLE), delivery(workerv1.DeliveryState_DELIVERY_STATE_BUSY)
	backoff := Delivery{
		State: workerv1.DeliveryState_DELIVERY_STATE_BACKOFF, Worker: "w1", Lag: 4_000_000_000, Failures: 3,
		OldestPending: at(1), NextTry: at(9), LastError: "503",
	}
	retry := busy
	retry.Failures, retry.Lag, retry.OldestPending, retry.NextTry = 1, 500_000_000, at(2), at(8)
	failing := registry.Subscription{Endpoint: registry.Endpoint{FailingSince: at(0), LastError: "was 502"}}
	disabled := failing
	disabled.Disabled = registry.Disabled{Is: true, Reason: "noisy", At: at(5)}
	for name, tt := range map[string]struct {
		sub    registry.Subscription
		said   []Delivery
		silent string
		want   Standing
	}{
		"nobody reports": {sub: failing, want: Standing{LastError: "was 502", Since: at(0)}},
		"the owner is silent": {
			sub: failing, silent: "w1", want: Standing{Worker: "w1", LastError: "worker w1 did not answer", Since: at(0)},
		},
		"idle":    {sub: failing, said: []Delivery{idle}, want: Standing{State: 1, Worker: "w1"}},
		"unknown": {said: []Delivery{delivery(0)}, want: Standing{Worker: "w1"}},
		"not confirmed": {
			said: []Delivery{idle, delivery(workerv1.DeliveryState_DELIVERY_STATE_UNCONFIRMED)}, want: Standing{State: 2, Worker: "w1"},
		},
		"waiting for its origin": {
			sub: failing, said: []Delivery{idle, waits}, want: Standing{
				State: 5, Worker: "w1", Lag: 3, NextTry: at(7), LastError: "its origin fails: 503", Since: at(0),
			},
		},
		"one folder waits for its origin, one fails": {
			sub: failing, said: []Delivery{backoff, waits}, want: Standing{
				State: 3, Worker: "w1", Lag: 4_000_000_003, OldestPending: at(1), NextTry: at(7), LastError: "503", Since: at(0),
			},
		},
		"a state of a later release": {said: []Delivery{delivery(99)}, want: Standing{Worker: "w1"}},
		"backing off": {
			sub: failing, said: []Delivery{idle, backoff}, want: Standing{
				State: 3, Worker: "w1", Lag: 4_000_000_000, OldestPending: at(1), NextTry: at(9), LastError: "503", Since: at(0),
			},
		},
		"two folders fail": {
			sub: failing, said: []Delivery{retry, backoff}, want: Standing{
				State: 3, Worker: "w1", Lag: 1<<32 - 1, OldestPending: at(1), NextTry: at(8), LastError: "503", Since: at(0),
			},
		},
		"trying again": {
			sub: failing, said: []Delivery{retry}, want: Standing{
				State: 3, Worker: "w1", Lag: 500_000_000, OldestPending: at(2), NextTry: at(8), LastError: "was 502", Since: at(0),
			},
		},
		"disabled, and the owner has not heard of it": {
			sub: disabled, said: []Delivery{idle}, want: Standing{State: 4, LastError: "noisy", Since: at(5)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tt.want.Subscription = tt.sub
			if diff := cmp.Diff(tt.want, stand(tt.sub, tt.said, tt.silent)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestSubscriptionsShowWhatOwnersReport(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	put(w, registry.CredentialStored, "2", "10")
	w.workers.delivered = map[string][]Delivery{"a1": {{Subscription: "10", State: workerv1.DeliveryState_DELIVERY_STATE_IDLE}}}
	page, more, err := w.Subscriptions(t.Context(), registry.UserID{}, "", "", 2)
	if err != nil || len(page) != 2 || more {
		t.Fatal(page, err)
	}
	if page[0].ID != "2" || page[0].State != adminv1.SubscriptionState_SUBSCRIPTION_STATE_UNSPECIFIED || page[0].Worker != "" ||
		page[1].ID != "10" || page[1].State != adminv1.SubscriptionState_SUBSCRIPTION_STATE_ACTIVE || page[1].Worker != "w1" {
		t.Errorf("got %+v", page)
	}
	w.workers.silent["a1"] = errors.New("connection refused")
	w.workers.delivered = nil
	page, _, err = w.Subscriptions(t.Context(), registry.UserID{}, page[0].Key(), page[0].ID, 10)
	if err != nil || len(page) != 1 || page[0].State != 0 || page[0].LastError != "worker w1 did not answer" {
		t.Errorf("got %+v, %v", page, err)
	}
	if _, _, err := w.Subscriptions(t.Context(), registry.UserID{User: "2"}, "", "", 10); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a user without a context: %v", err)
	}
	w.scheduler.err = fault.New(fault.Unavailable, "down")
	if _, _, err := w.Subscriptions(t.Context(), registry.UserID{}, "", "", 10); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("without a scheduler: %v", err)
	}
}
