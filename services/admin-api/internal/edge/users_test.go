// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"context"
	"slices"
	"testing"
	"time"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/services/admin-api/internal/registry"
)

// A disabled user gets no listener: the owner of the shard is told, and Subscribe says so.
func TestUserIsDisabledAndEnabled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if _, err := w.Subscribe(t.Context(), request()); err != nil {
		t.Fatal(err)
	}
	shard := idle(registry.ShardOf(anna, w.Shards))
	for _, step := range []struct {
		do      func() (bool, error)
		already bool
		says    string
	}{
		{func() (bool, error) { return w.DisableUser(t.Context(), anna, "abuse") }, false, "the user is disabled: abuse"},
		{func() (bool, error) { return w.DisableUser(t.Context(), anna, "abuse") }, true, "the user is disabled: abuse"},
		{func() (bool, error) { return w.EnableUser(t.Context(), anna) }, false, ""},
		{func() (bool, error) { return w.EnableUser(t.Context(), anna) }, true, ""},
	} {
		w.cluster.touched = nil
		already, err := step.do()
		if err != nil || already != step.already || !slices.Contains(w.cluster.touched, shard) {
			t.Errorf("already %v, error %v, touched %v", already, err, w.cluster.touched)
		}
		r := request()
		r.Account = nil
		answer, err := w.Subscribe(t.Context(), r)
		if err != nil || answer.Permanent != (step.says == "") || answer.Reason != step.says {
			t.Errorf("Subscribe: %+v, error %v, want %q", answer, err, step.says)
		}
	}
	for _, do := range []func() (bool, error){
		func() (bool, error) { return w.DisableUser(t.Context(), bob, "") },
		func() (bool, error) { return w.EnableUser(t.Context(), bob) },
	} {
		if _, err := do(); fault.KindOf(err) != fault.NotFound {
			t.Errorf("of nobody: %v", err)
		}
	}
}

func TestUserIsShownWithWhatOpensTheMailbox(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if _, err := w.Subscribe(t.Context(), request()); err != nil {
		t.Fatal(err)
	}
	w.store.subs[0].Disabled.Is = true
	p, err := w.ShowUser(t.Context(), anna)
	if err != nil || p.Subscriptions != 1 || p.Disabled != 1 || p.Credential.Kind != registry.KindPassword || !p.Enabled {
		t.Errorf("got %+v, error %v", p, err)
	}
	w.Policy.Doveadm = map[string]string{"demo": "{user}@{context}"}
	w.store.users[anna] = registry.User{UserID: anna, Enabled: true, Store: "demo", Credential: registry.Credential{State: registry.CredentialNone}}
	if p, err := w.ShowUser(t.Context(), anna); err != nil || p.Credential.Kind != registry.KindDoveadm {
		t.Errorf("by doveadm: %+v, error %v", p, err)
	}
	if _, err := w.ShowUser(t.Context(), bob); fault.KindOf(err) != fault.NotFound {
		t.Errorf("nobody: %v", err)
	}
}

// A user to whom nothing has happened is not one of whom nothing is known.
func TestHistoryOfAUserWhoNeverWas(t *testing.T) {
	t.Parallel()
	w, now := newWorld(t), time.Now()
	w.store.users[anna] = registry.User{UserID: anna}
	w.store.entries = []registry.HistoryEntry{{UserID: bob, Kind: registry.UserRemoved, At: now.Add(-time.Hour)}}
	carl := registry.UserID{Context: "1", User: "carl"}
	for name, c := range map[string]struct {
		user   registry.UserID
		since  time.Time
		before registry.Place
		want   int
		kind   fault.Kind
	}{
		"registered":             {user: anna},
		"gone":                   {user: bob, want: 1},
		"gone, and not so late":  {user: bob, since: now},
		"gone, on the last page": {user: bob, before: registry.Place{At: 1, ID: "x"}},
		"nobody":                 {user: carl, kind: fault.NotFound},
		"nobody of late":         {user: carl, since: now, kind: fault.NotFound},
	} {
		list, _, err := w.History(t.Context(), c.user, c.since, c.before, 10)
		if len(list) != c.want || (err == nil) != (c.kind == 0) || err != nil && fault.KindOf(err) != c.kind {
			t.Errorf("%s: %d entries, error %v", name, len(list), err)
		}
	}
}

// What is kept for a time is forgotten by whoever makes up for things.
func TestOldHistoryIsForgotten(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // one round
	if err := w.Run(ctx); err != nil || w.store.forgotten != 1 {
		t.Errorf("forgotten %d times, error %v", w.store.forgotten, err)
	}
}
