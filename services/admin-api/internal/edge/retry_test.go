// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/services/admin-api/internal/registry"
)

// Retry implements [Workers].
func (f *fakeWorkers) Retry(_ context.Context, address, store string, user registry.UserID) (Retried, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.silent[address]; err != nil {
		return Retried{}, err
	}
	f.told = append(f.told, fmt.Sprintf("%s %s %s", address, store, user))
	return f.retried[address], nil
}

func TestRetryOfAMailStoreAsksAllWorkers(t *testing.T) {
	t.Parallel()
	silent := fault.New(fault.Unavailable, "the worker does not answer")
	for name, c := range map[string]struct {
		store  string
		change func(w *world)
		want   Retried
		kind   fault.Kind // of the error; ignored when words is empty
		words  string
		told   []string
	}{
		"one mail store": {
			store: "demo", want: Retried{Listeners: 7}, told: []string{"a1 demo @", "a2 demo @"},
		},
		"all mail stores": {want: Retried{Listeners: 7}, told: []string{"a1  @", "a2  @"}},
		"one worker is silent": {
			store: "demo", change: func(w *world) { w.workers.silent["a1"] = silent },
			want: Retried{Listeners: 2, Silent: []string{"w1"}}, told: []string{"a2 demo @"},
		},
		"all workers are silent": {
			change: func(w *world) { w.workers.silent["a1"], w.workers.silent["a2"] = silent, silent },
			want:   Retried{Silent: []string{"w1", "w2"}},
		},
		"no worker": {store: "demo", change: func(w *world) { w.scheduler.members.Workers = nil }},
		"no such mail store": {
			store: "Demo", kind: fault.NotFound, words: `no mail store is called "Demo"; there are: demo, sleepy`,
		},
		"the scheduler is silent": {
			store: "demo", change: func(w *world) { w.scheduler.err = fault.New(fault.Unavailable, "no scheduler") },
			kind: fault.Unavailable, words: "no scheduler",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.workers.retried = map[string]Retried{"a1": {Listeners: 5}, "a2": {Listeners: 2}}
			if c.change != nil {
				c.change(w)
			}
			got, err := w.Retry(t.Context(), c.store)
			outcome{c.want, c.kind, c.words, c.told}.check(t, w, got, err)
		})
	}
}

// outcome is what a retry is to come to.
type outcome struct {
	want  Retried
	kind  fault.Kind // of the error; ignored when words is empty
	words string
	told  []string
}

func (o outcome) check(t *testing.T, w *world, got Retried, err error) {
	t.Helper()
	switch {
	case o.words == "" && err != nil:
		t.Error(err)
	case o.words != "" && (err == nil || fault.KindOf(err) != o.kind || !strings.Contains(err.Error(), o.words)):
		t.Errorf("got %v, want %q", err, o.words)
	}
	if diff := cmp.Diff(o.want, got); diff != "" {
		t.Errorf("retried (-want +got):\n%s", diff)
	}
	if slices.Sort(w.workers.told); !slices.Equal(w.workers.told, o.told) {
		t.Errorf("told %q, want %q", w.workers.told, o.told)
	}
}

func TestRetryOfAUserAsksTheOwner(t *testing.T) {
	t.Parallel()
	suspend := func(w *world) {
		u := w.store.users[anna]
		u.Credential.State, u.Credential.Reason = registry.CredentialSuspended, "wrong password"
		w.store.users[anna] = u
	}
	for name, c := range map[string]struct {
		user   registry.UserID
		change func(w *world)
		want   Retried
		kind   fault.Kind
		words  string
		told   []string
	}{
		"the owner":         {user: anna, want: Retried{Listeners: 1}, told: []string{"a1  249@1"}},
		"nobody's":          {user: anna, change: func(w *world) { w.scheduler.members.Workers[0].Held = nil }},
		"suspended":         {user: anna, change: suspend, want: Retried{Suspended: 1}},
		"suspended just so": {user: anna, change: func(w *world) { w.workers.retried["a1"] = Retried{Suspended: 1} }, want: Retried{Suspended: 1}, told: []string{"a1  249@1"}},
		"the owner is silent": {
			user: anna, change: func(w *world) { w.workers.silent["a1"] = fault.New(fault.Unavailable, "away") },
			want: Retried{Silent: []string{"w1"}},
		},
		"no such user": {user: bob, kind: fault.NotFound, words: "nothing is registered"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if _, err := w.Subscribe(t.Context(), request()); err != nil {
				t.Fatal(err)
			}
			w.workers.told = nil
			w.workers.retried = map[string]Retried{"a1": {Listeners: 1}, "a2": {Listeners: 9}}
			w.scheduler.members.Workers[0].Held = []registry.Claim{{Shard: idle(registry.ShardOf(anna, 4)), Epoch: 1}}
			if c.change != nil {
				c.change(w)
			}
			got, err := w.RetryUser(t.Context(), c.user)
			outcome{c.want, c.kind, c.words, c.told}.check(t, w, got, err)
		})
	}
}
