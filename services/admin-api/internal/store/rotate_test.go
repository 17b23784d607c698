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

func TestRotate(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		subscribe(t, s, subscription("sub_a", anna, "mobile", ""), login(1))
		to := registry.Signing{Scheme: registry.SchemeV1a, Version: 5, Slot: 1, PreviousUntil: noon().Add(time.Hour)}
		wantKind(t, fault.NotFound, s.Rotate(ctx, "sub_b", to, noon()))
		if err := s.Rotate(ctx, "sub_a", to, noon()); err != nil {
			t.Fatal(err)
		}
		want := subscription("sub_a", anna, "mobile", "")
		want.Signing, want.Revision = to, 1
		same(t, "rotated", want, must(s.Subscription(ctx, "sub_a"))(t))

		back := registry.Signing{Scheme: registry.SchemeV1, Version: 6, Slot: 0, PreviousUntil: noon().Add(2 * time.Hour)}
		err := s.Rotate(ctx, "sub_a", back, noon().Add(time.Hour-time.Second))
		wantKind(t, fault.Precondition, err)
		if err == nil || !strings.Contains(err.Error(), "in force until 2027-01-15T09:00:00Z") {
			t.Errorf("got %v", err)
		}
		// Of two replicas that rotate at once the one that has sealed last wins.
		early, late := to, to
		early.Version, late.Version = 4, 6
		wantKind(t, fault.Unavailable, s.Rotate(ctx, "sub_a", early, noon()))
		if err := s.Rotate(ctx, "sub_a", late, noon()); err != nil {
			t.Error(err)
		}
		back.Version = 7
		if err := s.Rotate(ctx, "sub_a", back, noon().Add(time.Hour)); err != nil {
			t.Error(err)
		}
		want.Signing, want.Revision = back, 3
		same(t, "rotated back", want, must(s.Subscription(ctx, "sub_a"))(t))
	})
}

func TestSubscribeEndsARotationAndEnables(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		sub := subscription("sub_a", anna, "mobile", "")
		sub.Endpoint.Confirmed = true
		subscribe(t, s, sub, login(1))
		to := registry.Signing{Scheme: registry.SchemeV1, Version: 5, Slot: 1, PreviousUntil: noon().Add(time.Hour)}
		if err := s.Rotate(ctx, "sub_a", to, noon()); err != nil {
			t.Fatal(err)
		}
		if err := s.Disable(ctx, "sub_a", "tired of it", noon()); err != nil {
			t.Fatal(err)
		}
		again := sub
		again.Signing.Version = 6
		wantKind(t, fault.Unavailable, s.Subscribe(ctx, again, "", nil)) // sealed into the slot before
		again.Signing.Slot, again.Signing.Version = 1, 4
		wantKind(t, fault.Unavailable, s.Subscribe(ctx, again, "", nil)) // another call has sealed later
		again.Signing.Version = 6
		for range 2 { // nothing has changed the second time
			subscribe(t, s, again, nil)
			want := again
			want.Revision = 2
			same(t, "subscribed again", want, must(s.Subscription(ctx, "sub_a"))(t))
		}
		again.WebhookURL += "x"
		subscribe(t, s, again, nil)
		if got := must(s.Subscription(ctx, "sub_a"))(t); got.Endpoint.Confirmed || got.Revision != 3 {
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
			boxes := must(s.ListShards(ctx, []string{"demo"}, []uint32{0}, 1, registry.Position{}, 9))(t)
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
