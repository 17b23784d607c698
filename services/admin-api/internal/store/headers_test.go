// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"strings"
	"testing"
	"time"

	"mailpush.internal/pkg/endpoint"
	"mailpush.internal/pkg/fault"
	"mailpush.internal/services/admin-api/internal/registry"
)

func headers(slot uint32, names ...string) registry.Headers {
	return registry.Headers{Names: names, Version: uint64(slot), Slot: slot}
}

// resubscribe stores a subscription that has sealed its headers.
func resubscribe(t *testing.T, s *Store, sub registry.Subscription) error {
	t.Helper()
	e := enrolment(t, s, sub, "", nil)
	old, err := s.Subscription(t.Context(), sub.ID)
	if slot := sub.Headers.Slot; slot != 0 && (err != nil || old.Headers.Slot != slot) {
		e.Sealed = append(e.Sealed, reserved(t, s, sub.UserID, registry.HeadersAccount(sub.ID, slot)))
	}
	return subscribeOne(t.Context(), s, e)
}

func TestHeadersAreKeptReplacedAndCleared(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		sub := subscription("sub_a", anna, "mobile", "")
		sub.Endpoint.Confirmed = true
		subscribe(t, s, sub, login(1))
		later := func() []registry.Erasure {
			return must(s.Erasures(ctx, time.Now().Add(registry.Lingers), 9))(t)
		}
		same(t, "none", registry.Headers{}, must(s.Subscription(ctx, "sub_a"))(t).Headers)
		for n, step := range []registry.Headers{
			headers(5, "Authorization", "X-Key"), headers(5, "Authorization", "X-Key"), headers(7, "X-Other"),
			{Version: 8}, {Version: 8}, headers(9, "X-Last"),
		} {
			sub.Headers = step
			if err := resubscribe(t, s, sub); err != nil {
				t.Fatalf("step %d: %v", n, err)
			}
			want := sub
			want.Revision = uint64(n) + 1
			same(t, "stored", want, must(s.Subscription(ctx, "sub_a"))(t))
			listed := listShards(t, s, []uint32{0}, 1, registry.Position{}, 9)
			if len(listed) != 1 || listed[0].Subscriptions[0].Headers.Slot != step.Slot {
				t.Errorf("step %d: listed %+v", n, listed)
			}
		}
		same(t, "replaced", []registry.Erasure{
			{UserID: anna, Account: "headers/sub_a/5"}, {UserID: anna, Account: "headers/sub_a/7"}, {UserID: anna, Account: "webhook/sub_a/1"},
		}, later())
		for name, late := range map[string]registry.Headers{
			"sealed earlier": headers(6, "X-Key"), "cleared at the same time": {Version: 9}, "kept what has been replaced": headers(7, "X-Other"),
		} {
			sub.Headers = late
			wantKind(t, fault.Unavailable, subscribeOne(ctx, s, enrolment(t, s, sub, "", nil)))
			if got := must(s.Subscription(ctx, "sub_a"))(t).Headers.Slot; got != 9 {
				t.Errorf("%s: stored in slot %d", name, got)
			}
		}
		same(t, "erased with the subscription", []registry.Erasure{
			{UserID: anna, Account: "webhook/sub_a"}, {UserID: anna, Account: "webhook/sub_a/1"}, {UserID: anna, Account: "headers/sub_a/9"},
			{UserID: anna, Account: "mail"},
		}, must(s.Unsubscribe(ctx, "sub_a"))(t).Erasures)
	})
}

func TestRotationKeepsHeaders(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		sub := subscription("sub_a", anna, "mobile", "")
		sub.Headers = headers(5, "X-Key")
		if err := resubscribe(t, s, sub); err != nil {
			t.Fatal(err)
		}
		reserved(t, s, anna, "webhook/sub_a/6")
		if err := s.Rotate(ctx, sub, signing(6, noon().Add(time.Hour)), noon()); err != nil {
			t.Fatal(err)
		}
		got := must(s.Subscription(ctx, "sub_a"))(t)
		same(t, "headers", sub.Headers, got.Headers)
		for _, e := range must(s.Erasures(ctx, noon().Add(24*time.Hour), 9))(t) {
			if strings.HasPrefix(e.Account, "headers/") {
				t.Errorf("%s is to be erased", e.Account)
			}
		}

		// Subscribing anew with the secret that there is leaves the rotation as it is.
		if err := resubscribe(t, s, got); err != nil {
			t.Fatal(err)
		}
		same(t, "signing", got.Signing, must(s.Subscription(ctx, "sub_a"))(t).Signing)
	})
}

func TestAsManyHeadersAsThereMayBe(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		sub := subscription("sub_a", anna, "mobile", "")
		sub.Headers = headers(5)
		for n := range endpoint.MaxHeaders {
			sub.Headers.Names = append(sub.Headers.Names, strings.Repeat(string(rune('A'+n)), endpoint.MaxHeaderName))
		}
		if err := resubscribe(t, s, sub); err != nil {
			t.Fatal(err)
		}
		same(t, "headers", sub.Headers, must(s.Subscription(t.Context(), "sub_a"))(t).Headers)
	})
}

// TestEarlierReleaseLeavesHeaders has a replica that does not know the columns store a row
// anew, as it does when the device subscribes there.
func TestEarlierReleaseLeavesHeaders(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		sub := subscription("sub_a", anna, "mobile", "")
		sub.Headers = headers(5, "X-Key")
		if err := resubscribe(t, s, sub); err != nil {
			t.Fatal(err)
		}
		columns := map[string]any{"webhook_url": "https://moved.example/", "secret_version": 9, "revision": 4}
		if err := s.db.Table("subscriptions").Where("id = ?", "sub_a").Updates(columns).Error; err != nil {
			t.Fatal(err)
		}
		same(t, "headers", sub.Headers, must(s.Subscription(t.Context(), "sub_a"))(t).Headers)
	})
}
