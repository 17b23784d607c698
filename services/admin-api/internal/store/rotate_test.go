// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"strings"
	"testing"
	"time"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/services/admin-api/internal/registry"
)

// signing is a secret in a slot; the versions grow with the slots.
func signing(slot uint32, until time.Time) registry.Signing {
	return registry.Signing{Scheme: registry.SchemeV1, Version: uint64(slot), Slot: slot, PreviousUntil: until}
}

func TestRotate(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		sub := subscription("sub_a", anna, "mobile", "")
		subscribe(t, s, sub, login(1))
		rotate := func(to registry.Signing, now time.Time) error {
			reserved(t, s, anna, registry.WebhookAccount("sub_a", to.Slot))
			return s.Rotate(ctx, sub, to, now)
		}
		to := signing(5, noon().Add(time.Hour))
		to.Scheme = registry.SchemeV1a
		wantKind(t, fault.NotFound, s.Rotate(ctx, subscription("sub_b", anna, "mobile", ""), to, noon()))
		if err := rotate(to, noon()); err != nil {
			t.Fatal(err)
		}
		want := sub
		want.Signing, want.Revision = to, 1
		same(t, "rotated", want, must(s.Subscription(ctx, "sub_a"))(t))

		err := rotate(signing(6, noon().Add(2*time.Hour)), noon().Add(time.Hour-time.Second))
		wantKind(t, fault.Precondition, err)
		if err == nil || !strings.Contains(err.Error(), "in force until 2027-01-15T09:00:00Z") {
			t.Errorf("got %v", err)
		}
		after := noon().Add(time.Hour)
		wantKind(t, fault.Unavailable, rotate(signing(4, after), after)) // another call has sealed later
		late := signing(8, after.Add(time.Hour))
		wantKind(t, fault.Unavailable, s.Rotate(ctx, sub, late, after)) // it has waited for too long
		if err := rotate(late, after); err != nil {
			t.Error(err)
		}
		late.PreviousSlot = 5
		want.Signing, want.Revision = late, 2
		same(t, "rotated again", want, must(s.Subscription(ctx, "sub_a"))(t))
		// The secret of the start has ended; that of the rotation between has not.
		same(t, "erased by then", []registry.Erasure{
			{UserID: anna, Account: "webhook/sub_a"}, {UserID: anna, Account: "webhook/sub_a/1"},
			{UserID: anna, Account: "webhook/sub_a/4"}, {UserID: anna, Account: "webhook/sub_a/6"},
		}, must(s.Erasures(ctx, after.Add(registry.Lingers), 10))(t))
		same(t, "erased in the end", 5, len(must(s.Erasures(ctx, late.PreviousUntil.Add(registry.Lingers), 10))(t)))
		removed := must(s.Unsubscribe(ctx, "sub_a"))(t).Erasures
		same(t, "erased with the subscription", []registry.Erasure{
			{UserID: anna, Account: "webhook/sub_a/5"}, {UserID: anna, Account: "webhook/sub_a/8"}, {UserID: anna, Account: "mail"},
		}, removed)
	})
}

func TestSubscribeEndsARotationAndEnables(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		sub := subscription("sub_a", anna, "mobile", "")
		sub.Endpoint.Confirmed = true
		subscribe(t, s, sub, login(1))
		reserved(t, s, anna, "webhook/sub_a/5")
		if err := s.Rotate(ctx, sub, signing(5, noon().Add(time.Hour)), noon()); err != nil {
			t.Fatal(err)
		}
		if err := s.Disable(ctx, "sub_a", "tired of it", noon()); err != nil {
			t.Fatal(err)
		}
		again := sub
		again.Signing = signing(4, time.Time{})
		wantKind(t, fault.Unavailable, subscribeOne(ctx, s, enrolment(t, s, again, "", nil))) // another call has sealed later
		again.Signing = signing(6, time.Time{})
		for n := range uint64(2) { // the second time with what there is
			subscribe(t, s, again, nil)
			want := again
			want.Revision = 2 + n
			same(t, "subscribed again", want, must(s.Subscription(ctx, "sub_a"))(t))
			if err := s.Disable(ctx, "sub_a", "tired of it", noon()); err != nil {
				t.Fatal(err)
			}
		}
		again.Target.Address += "x"
		subscribe(t, s, again, nil)
		if got := must(s.Subscription(ctx, "sub_a"))(t); got.Endpoint.Confirmed || got.Revision != 4 {
			t.Errorf("a new URL: %+v", got)
		}
	})
}

func TestDisableAndEnable(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		subscribe(t, s, subscription("sub_a", anna, "mobile", ""), login(1))
		subscribe(t, s, subscription("sub_b", anna, "web", ""), login(1))
		wantKind(t, fault.NotFound, s.Disable(ctx, "sub_c", "", noon()))
		wantKind(t, fault.NotFound, s.Enable(ctx, "sub_c"))
		failing := report("sub_a", anna, registry.OutcomeFailing)
		must(s.Report(ctx, shards, []registry.Report{failing}, noon()))(t)
		for i, reason := range []string{"noisy", strings.Repeat("very noisy ", 100)} {
			if err := s.Disable(ctx, "sub_a", reason, noon().Add(time.Duration(i)*time.Hour)); err != nil {
				t.Fatal(err)
			}
		}
		got := must(s.Subscription(ctx, "sub_a"))(t)
		if !got.Disabled.Is || got.Disabled.At != noon() || !strings.HasPrefix(got.Disabled.Reason, "very noisy") || got.Revision != 0 {
			t.Errorf("disabled: %+v", got)
		}
		listed := func() (ids []string) {
			t.Helper()
			boxes := listShards(t, s, []uint32{0}, 1, registry.Position{}, 9)
			for _, sub := range boxes[0].Subscriptions {
				ids = append(ids, sub.ID)
			}
			return ids
		}
		same(t, "shown to the worker", []string{"sub_b"}, listed())
		if err := s.Disable(ctx, "sub_b", "", noon()); err != nil {
			t.Fatal(err)
		}
		same(t, "shown to the worker", []string(nil), listed())
		if err := s.Enable(ctx, "sub_a"); err != nil {
			t.Fatal(err)
		}
		want := subscription("sub_a", anna, "mobile", "")
		want.Revision = 1
		same(t, "enabled", want, must(s.Subscription(ctx, "sub_a"))(t))
		same(t, "shown to the worker", []string{"sub_a"}, listed())
	})
}

func TestSubscriptionsPageInNaturalOrder(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		for id, u := range map[string]registry.UserID{
			"sub_a": {Context: "1", User: "10"}, "sub_b": {Context: "1", User: "9"}, "sub_c": {Context: "2", User: "9"},
			"sub_d": {Context: "1", User: "9"}, "sub_e": {Context: "1", User: "9"},
		} {
			subscribe(t, s, subscription(id, u, id, ""), login(1))
		}
		for of, want := range map[registry.UserID]string{
			{}: "sub_b sub_d sub_e sub_a sub_c", {Context: "1"}: "sub_b sub_d sub_e sub_a",
			{Context: "1", User: "10"}: "sub_a", {Context: "3"}: "",
		} {
			var ids []string
			key, id := "", ""
			for {
				page := must(s.ListSubscriptions(t.Context(), of, key, id, 2))(t)
				for _, o := range page {
					ids = append(ids, o.ID)
					key, id = o.Key(), o.ID
					if o.Store != "demo" || len(o.Cursors) != 1 {
						t.Errorf("listed %+v", o)
					}
				}
				if len(page) < 2 {
					break
				}
			}
			same(t, of.String(), want, strings.Join(ids, " "))
		}
	})
}
