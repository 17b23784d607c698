// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"errors"
	"slices"
	"testing"
	"time"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/services/admin-api/internal/registry"
)

// answering has one live worker, and the subscribed endpoints have consented.
func answering(w *world) {
	w.scheduler.members = Members{Workers: []Worker{{ID: "w-1", Address: "one"}}}
	for i := range w.store.subs {
		w.store.subs[i].Endpoint.Confirmed = true
	}
}

func TestGoneSubscriptionIsDeletedWhenItsTimeIsOver(t *testing.T) {
	t.Parallel()
	w, a := subscribed(t, nil)
	answering(w)
	var steps []string
	w.Count = func(step string) { steps = append(steps, step) }
	if err := w.DeleteGone(t.Context()); err != nil || len(w.store.subs) != 1 {
		t.Fatalf("one that is not gone: %v, %v", w.store.subs, err)
	}
	w.store.subs[0].Disabled = registry.Disabled{Is: true, Gone: true}
	w.cluster.touched = nil
	for range 2 { // another replica does so as well
		if err := w.DeleteGone(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if len(w.vault.sealed)+len(w.store.erasures)+len(w.store.users)+len(w.store.subs) != 0 {
		t.Errorf("left behind: %v %v %v %v", w.vault.sealed, w.store.erasures, w.store.users, w.store.subs)
	}
	if want := []string{a.ID + " of 249@1: gone"}; !slices.Equal(w.workers.endings, want) {
		t.Errorf("told %v, want %v", w.workers.endings, want)
	}
	if !slices.Equal(steps, []string{GoneDeleted}) || len(w.cluster.touched) != 1 {
		t.Errorf("counted %v, touched %v", steps, w.cluster.touched)
	}
}

func TestRestore(t *testing.T) {
	t.Parallel()
	w, a := subscribed(t, nil)
	var steps []string
	w.Count = func(step string) { steps = append(steps, step) }
	w.cluster.touched = nil
	if err := w.Restore(t.Context(), a.ID); err != nil || len(w.cluster.touched) != 1 {
		t.Errorf("touched %v, %v", w.cluster.touched, err)
	}
	w.store.refuses = fault.New(fault.Precondition, "it is not gone")
	if err := w.Restore(t.Context(), a.ID); fault.KindOf(err) != fault.Precondition {
		t.Errorf("error %v", err)
	}
	if err := w.Restore(t.Context(), "sub_unknown"); fault.KindOf(err) != fault.NotFound {
		t.Errorf("error %v", err)
	}
	if !slices.Equal(steps, []string{GoneRestored}) {
		t.Errorf("counted %v", steps)
	}
}

// The endpoint is told after the subscription was removed, and before what signs it is
// erased. Whether it can be told makes no difference to anything else.
func TestEndpointsAreToldThatTheirSubscriptionsEnd(t *testing.T) {
	t.Parallel()
	ends := map[string]func(w *world, a Answer) error{
		"unsubscribed": func(w *world, a Answer) error { return w.Unsubscribe(t.Context(), a.ID, everywhere) },
		"unregistered": func(w *world, _ Answer) error { return w.Unregister(t.Context(), anna, w.store.subs[0].Client) },
	}
	for reason, end := range ends {
		for name, c := range map[string]struct {
			change func(w *world)
			told   int
		}{
			"told":                  {func(*world) {}, 1},
			"never wanted pushes":   {func(w *world) { w.store.subs[0].Endpoint.Confirmed = false }, 0},
			"no worker lives":       {func(w *world) { w.scheduler.members = Members{} }, 0},
			"no scheduler":          {func(w *world) { w.scheduler.members, w.scheduler.err = Members{}, errors.New("down") }, 0},
			"a worker is silent":    {func(w *world) { w.workers.silent = map[string]error{"one": ErrNoAnswer} }, 0},
			"one of an old release": {func(w *world) { w.workers.silent = map[string]error{"one": errors.New("unimplemented")} }, 0},
		} {
			w, a := subscribed(t, nil)
			answering(w)
			c.change(w)
			w.workers.ending = func() {
				if len(w.store.subs) != 0 || len(w.vault.sealed) != 2 {
					t.Errorf("%s, %s: told with %d subscriptions and %d secrets", reason, name, len(w.store.subs), len(w.vault.sealed))
				}
			}
			if err := end(w, a); err != nil || len(w.workers.endings) != c.told {
				t.Errorf("%s, %s: told %v, error %v", reason, name, w.workers.endings, err)
			}
			if c.told == 1 && w.workers.endings[0] != a.ID+" of 249@1: "+reason {
				t.Errorf("%s: told %v", reason, w.workers.endings)
			}
			if len(w.vault.sealed)+len(w.store.erasures)+len(w.store.subs) != 0 {
				t.Errorf("%s, %s, left behind: %v %v %v", reason, name, w.vault.sealed, w.store.erasures, w.store.subs)
			}
		}
	}
}

// Until when it is kept follows from when it was disabled, for no other reason.
func TestKeptUntil(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 12, 1, 10, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		disabled registry.Disabled
		want     time.Time
	}{
		{registry.Disabled{}, time.Time{}},
		{registry.Disabled{Is: true, At: at}, time.Time{}},
		{registry.Disabled{Is: true, At: at, Gone: true}, at.Add(7 * 24 * time.Hour)},
	} {
		if got := c.disabled.KeptUntil(); !got.Equal(c.want) {
			t.Errorf("%+v: %s", c.disabled, got)
		}
	}
}
