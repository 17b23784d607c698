// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"mailpush.internal/pkg/fault"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/admin-api/internal/registry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// put stores users of the given names in context 1, in one shard owned by w1.
func put(w *world, state registry.CredentialState, names ...string) {
	for _, name := range names {
		id := registry.UserID{Context: "1", User: name}
		w.store.users[id] = registry.User{
			UserID: id, Enabled: true, Store: "demo",
			Credential: registry.Credential{State: state, Kind: registry.KindPassword, Reason: "wrong password"},
		}
		w.store.subs = append(w.store.subs, registry.Subscription{ID: name, UserID: id, Client: "mobile"})
		w.scheduler.members.Workers[0].Held = append(w.scheduler.members.Workers[0].Held,
			registry.Claim{Shard: idle(registry.ShardOf(id, w.Shards)), Epoch: 2})
	}
}

func TestPushUsersShowsWhatOwnersReport(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	put(w, registry.CredentialStored, "2", "10", "11")
	put(w, registry.CredentialSuspended, "3")
	// A former owner that still claims a shard under a lower epoch is not asked.
	w.scheduler.members.Workers[1].Held = []registry.Claim{{Shard: idle(registry.ShardOf(registry.UserID{Context: "1", User: "11"}, 4)), Epoch: 1}}
	w.workers.listeners["a2"] = []Listener{{UserID: registry.UserID{Context: "1", User: "11"}}}
	idle := mailv1.ListenerState_LISTENER_STATE_IDLE
	for _, name := range []string{"10", "2"} {
		w.workers.listeners["a1"] = append(w.workers.listeners["a1"],
			Listener{UserID: registry.UserID{Context: "1", User: name}, Permanent: true, Backend: "imapidle", State: idle})
	}
	page, next, err := w.PushUsers(t.Context(), "", "", 10)
	if err != nil || next != "" {
		t.Fatal(err, next)
	}
	want := []Listener{
		{UserID: registry.UserID{Context: "1", User: "2"}, Permanent: true, Backend: "imapidle", State: idle, Worker: "w1"},
		{UserID: registry.UserID{Context: "1", User: "3"}, Permanent: true, Backend: "imapidle",
			State: mailv1.ListenerState_LISTENER_STATE_SUSPENDED, LastError: "wrong password"},
		{UserID: registry.UserID{Context: "1", User: "10"}, Permanent: true, Backend: "imapidle", State: idle, Worker: "w1"},
	}
	if diff := cmp.Diff(want, page); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestPushUsersNeverClaimsWhatWasNotReported(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	put(w, registry.CredentialStored, "2", "10")
	put(w, registry.CredentialNone, "5")
	w.workers.silent["a1"] = errors.New("connection refused")
	page, next, err := w.PushUsers(t.Context(), "", "", 2)
	if err != nil || next != "" {
		t.Fatal(err, next)
	}
	want := []Listener{
		{UserID: registry.UserID{Context: "1", User: "2"}, Permanent: true, Backend: "imapidle", Worker: "w1", LastError: "worker w1 did not answer"},
		{UserID: registry.UserID{Context: "1", User: "10"}, Permanent: true, Backend: "imapidle", Worker: "w1", LastError: "worker w1 did not answer"},
	}
	if diff := cmp.Diff(want, page); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	w.scheduler.err = fault.New(fault.Unavailable, "down")
	if _, _, err := w.PushUsers(t.Context(), "", "", 2); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("without a scheduler: %v", err)
	}
}

// Users without a listener may be any number: no page is empty for them, and none says
// that more follow when none do.
func TestNoPageIsEmptyWhileMoreFollow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for n := range 60 {
		state := registry.CredentialNone
		if n == 7 || n == 55 || n == 56 {
			state = registry.CredentialSuspended
		}
		put(w, state, strconv.Itoa(n))
	}
	for limit, want := range map[int]string{1: "[7] [55] [56]", 2: "[7 55] [56]", 3: "[7 55 56]", 100: "[7 55 56]"} {
		var pages []string
		for next := ""; ; {
			page, then, err := w.PushUsers(t.Context(), "", next, limit)
			if err != nil {
				t.Fatal(err)
			}
			var users []string
			for _, l := range page {
				users = append(users, l.User)
			}
			pages = append(pages, fmt.Sprint(users))
			if next = then; next == "" {
				break
			}
		}
		if got := strings.Join(pages, " "); got != want {
			t.Errorf("pages of %d: %s, want %s", limit, got, want)
		}
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
