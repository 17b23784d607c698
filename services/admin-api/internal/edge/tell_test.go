// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mailpush.internal/pkg/shard"
	"mailpush.internal/pkg/userid"
	"mailpush.internal/services/admin-api/internal/registry"
)

// To say "try again" of what is done would be wrong: the second try finds nothing to do,
// and nobody tells the worker.
func TestOwnerThatCannotBeToldIsToldLater(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*world, string) error{
		"subscribe":   func(w *world, _ string) error { _, err := w.Subscribe(t.Context(), request()); return err },
		"unsubscribe": func(w *world, id string) error { return w.Unsubscribe(t.Context(), id, everywhere) },
		"unregister":  func(w *world, _ string) error { return w.Unregister(t.Context(), anna, "mobile") },
		"enable":      func(w *world, id string) error { return w.Enable(t.Context(), id) },
		"report": func(w *world, id string) error {
			w.store.verdicts = map[string]registry.Verdict{id: registry.VerdictDisabled}
			_, err := w.Report(t.Context(), []registry.Report{{
				Claim:        registry.Claim{Shard: idle(registry.ShardOf(anna, w.Shards)), Epoch: 5},
				Subscription: id, Outcome: registry.OutcomeFailing,
			}})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, a := subscribed(t, nil)
			w.cluster.err = errors.New("etcd down")
			if err := change(w, a.ID); err != nil || len(w.cluster.touched) != 0 {
				t.Errorf("etcd down: %v, touched %v", err, w.cluster.touched)
			}
			w.TellUntold(t.Context())
			w.cluster.err = nil
			for range 2 { // once it is told it is not told again
				w.TellUntold(t.Context())
				if want := []registry.Shard{idle(registry.ShardOf(anna, w.Shards))}; !slices.Equal(w.cluster.touched, want) {
					t.Errorf("touched %v, want %v", w.cluster.touched, want)
				}
			}
		})
	}
}

// While etcd is away changes gather; none gets lost among the others.
func TestUntoldChangesOfAShardAreToldAsOne(t *testing.T) {
	t.Parallel()
	w, _ := subscribed(t, nil)
	at := idle(1)
	w.cluster.changes = nil
	w.cluster.err = errors.New("etcd down")
	w.tell(t.Context(), at, anna)
	w.tell(t.Context(), at, bob)
	w.cluster.err = nil
	w.TellUntold(t.Context())
	w.tell(t.Context(), at, bob)
	w.cluster.err = errors.New("etcd down")
	w.tell(t.Context(), at, anna)
	w.tell(t.Context(), at)
	w.cluster.err = nil
	w.tell(t.Context(), at, bob)
	named := func(users ...registry.UserID) (out shard.Change) {
		for _, u := range users {
			out.Users = append(out.Users, userid.User{Context: u.Context, ID: u.User})
		}
		return out
	}
	if diff := cmp.Diff([]shard.Change{named(anna, bob), named(bob), {}}, w.cluster.changes); diff != "" {
		t.Errorf("changes told (-want +got):\n%s", diff)
	}
}

// A rotation made a secret that its caller never came to see.
func TestRotateAnswersWhenTheOwnerCannotBeTold(t *testing.T) {
	t.Parallel()
	w, a := subscribed(t, nil)
	w.cluster.err = errors.New("etcd down")
	keys, _, err := w.Rotate(t.Context(), a.ID, Rotation{Scheme: registry.SchemeV1}, everywhere)
	if err != nil || keys.Made.IsZero() || w.secret(t, a.ID) != keys.Made.Reveal() {
		t.Errorf("got %+v, %v", keys, err)
	}
}
