// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deliver_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mailpush.internal/pkg/hold"
	"mailpush.internal/services/listener-worker/internal/deliver"
	"mailpush.internal/services/listener-worker/internal/transport"
)

func TestOneFetchServesAllSubscriptions(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{}, func(w *fakeWorld) {
		w.put(user(1), subscribed("a", "https://a.example/"), subscribed("b", "https://b.example/"), subscribed("c", "https://c.example/"))
		w.deliverMail(user(1), 2)
		pass(10 * time.Millisecond)
		want := map[string][]uint32{"a": {11, 12}, "b": {11, 12}, "c": {11, 12}}
		if diff := cmp.Diff(want, w.sent()); diff != "" {
			w.t.Errorf("sent (-want +got):\n%s", diff)
		}
		if w.fetches != 1 {
			w.t.Errorf("%d fetches, want 1", w.fetches)
		}
		if w.stored("a") != 0 {
			w.t.Error("the cursor was stored before its group was due")
		}
		pass(100 * time.Millisecond)
		if len(w.commits) != 1 || w.stored("a") != 12 || w.stored("c") != 12 {
			w.t.Errorf("commits %v, want one with 12", w.commits)
		}
	})
}

func TestSubscriptionsApartAreServedApart(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{}, func(w *fakeWorld) {
		behind := subscribed("behind", "https://a.example/")
		behind.Cursors[0].UID = 2
		w.put(user(1), behind, subscribed("current", "https://b.example/"))
		w.deliverMail(user(1), 1)
		pass(time.Second)
		want := map[string][]uint32{"behind": {3, 4, 5, 6, 7, 8, 9, 10, 11}, "current": {11}}
		if diff := cmp.Diff(want, w.sent()); diff != "" {
			w.t.Errorf("sent (-want +got):\n%s", diff)
		}
	})
}

func TestFullGroupIsStoredAtOnce(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{CommitEvery: time.Hour, CommitRows: 50}, func(w *fakeWorld) {
		for n := range 50 {
			w.put(user(n), subscribed(fmt.Sprint(n), "https://a.example/"))
			w.deliverMail(user(n), 1)
		}
		pass(time.Second)
		if len(w.commits) != 1 || len(w.commits[0][claim()]) != 50 {
			w.t.Errorf("%d commits, want one of 50 cursors", len(w.commits))
		}
	})
}

func TestRefusedPushIsSentAgainUnderTheSameID(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{}, func(w *fakeWorld) {
		w.answer = func(_ context.Context, push transport.Push) transport.Result {
			if push.Batch.Attempt == 1 {
				return transport.Result{Class: transport.Retry}
			}
			return transport.Result{}
		}
		w.put(user(1), subscribed("a", "https://a.example/"))
		w.deliverMail(user(1), 1)
		pass(500 * time.Millisecond)
		w.deliverMail(user(1), 1) // must not join the range that was refused
		pass(500 * time.Millisecond)
		if w.stored("a") != 0 {
			w.t.Error("the cursor was stored without an acceptance")
		}
		pass(5 * time.Second)
		if len(w.pushes) != 4 || w.pushes[0].Batch.ID("a", "INBOX") != w.pushes[1].Batch.ID("a", "INBOX") {
			w.t.Fatalf("pushes %+v", w.pushes)
		}
		if w.stored("a") != 12 {
			w.t.Errorf("cursor %d, want 12", w.stored("a"))
		}
	})
}

func TestHungOriginHoldsUpItselfOnly(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{Turns: 8, StoreTurns: 2, OriginTurns: 4}, func(w *fakeWorld) {
		w.answer = func(ctx context.Context, push transport.Push) transport.Result {
			if push.Target.Address == "https://hung.example/" {
				<-ctx.Done()
			}
			return transport.Result{}
		}
		for n := range 100 {
			w.put(user(n), subscribed("hung", "https://hung.example/"))
			w.deliverMail(user(n), 1)
		}
		pass(time.Second)
		for n := 100; n < 200; n++ {
			w.put(user(n), subscribed("well", "https://well.example/"))
			w.deliverMail(user(n), 1)
		}
		pass(time.Second)
		if got := w.sent(); len(got["hung"]) != 4 || len(got["well"]) != 100 {
			w.t.Errorf("%d requests hang, %d went through; want 4 and 100", len(got["hung"]), len(got["well"]))
		}
	})
}

func TestUnreachableRegistryBoundsWhatWouldBeSentAgain(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{}, func(w *fakeWorld) {
		w.put(user(1), subscribed("a", "https://a.example/"))
		w.set(func(w *fakeWorld) { w.storeErr = errDown })
		w.deliverMail(user(1), 1)
		pass(20 * time.Second)
		w.deliverMail(user(1), 1)
		pass(20 * time.Second)
		if diff := cmp.Diff([]uint32{11, 12}, w.sent()["a"]); diff != "" {
			w.t.Errorf("delivery must go on for a while (-want +got):\n%s", diff)
		}
		w.deliverMail(user(1), 1)
		pass(time.Minute)
		if diff := cmp.Diff([]uint32{11, 12}, w.sent()["a"]); diff != "" {
			w.t.Errorf("delivery must stop after a while (-want +got):\n%s", diff)
		}
		w.set(func(w *fakeWorld) { w.storeErr = nil })
		pass(6 * time.Second)
		if diff := cmp.Diff([]uint32{11, 12, 13}, w.sent()["a"]); diff != "" || w.stored("a") != 13 {
			w.t.Errorf("cursor %d; sent (-want +got):\n%s", w.stored("a"), diff)
		}
	})
}

func TestRefusedClaimIsDropped(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{}, func(w *fakeWorld) {
		w.refuse = []hold.Claim{claim()}
		w.put(user(1), subscribed("a", "https://a.example/"))
		w.deliverMail(user(1), 1)
		pass(time.Second)
		w.deliverMail(user(1), 1)
		pass(time.Second)
		if diff := cmp.Diff([]uint32{11}, w.sent()["a"]); diff != "" {
			w.t.Errorf("sent (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]hold.Claim{claim()}, w.refused); diff != "" {
			w.t.Errorf("refused (-want +got):\n%s", diff)
		}
	})
}

func TestSecretIsOpenedOnceAVersion(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{}, func(w *fakeWorld) {
		w.put(user(1), subscribed("a", "https://a.example/"))
		for range 3 {
			w.deliverMail(user(1), 1)
			pass(time.Minute)
		}
		renewed := subscribed("a", "https://a.example/")
		renewed.SecretVersion = 2
		w.put(user(1), renewed)
		w.deliverMail(user(1), 1)
		pass(time.Minute)
		if got := w.pushes[3].Secret.Reveal(); w.opened != 2 || got != "key 2" {
			w.t.Errorf("opened %d times, the last push used %q", w.opened, got)
		}
	})
}

func TestReplacedEndpointIsTriedAtOnceAtItsCursor(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{}, func(w *fakeWorld) {
		w.answer = func(_ context.Context, push transport.Push) transport.Result {
			if push.Target.Address == "https://old.example/" {
				return transport.Result{Class: transport.Gone}
			}
			return transport.Result{}
		}
		w.put(user(1), subscribed("a", "https://old.example/"))
		w.deliverMail(user(1), 1)
		pass(time.Second)
		w.put(user(1), subscribed("a", "https://new.example/"))
		pass(time.Second)
		if w.stored("a") != 11 {
			w.t.Errorf("cursor %d, want 11", w.stored("a"))
		}
	})
}

func TestMailboxThatComesBackGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{}, func(w *fakeWorld) {
		w.set(func(w *fakeWorld) { w.storeErr = errDown })
		w.put(user(1), subscribed("a", "https://a.example/"))
		w.deliverMail(user(1), 1)
		pass(time.Second)
		w.loop.Remove(user(1))
		w.put(user(1), subscribed("a", "https://a.example/"))
		pass(time.Second)
		if diff := cmp.Diff([]uint32{11}, w.sent()["a"]); diff != "" {
			w.t.Errorf("sent (-want +got):\n%s", diff)
		}
	})
}

func TestRemovedSubscriptionIsServedNoMore(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{}, func(w *fakeWorld) {
		w.put(user(1), subscribed("a", "https://a.example/"), subscribed("b", "https://b.example/"))
		w.put(user(1), subscribed("b", "https://b.example/"))
		w.deliverMail(user(1), 1)
		pass(time.Second)
		if diff := cmp.Diff(map[string][]uint32{"b": {11}}, w.sent()); diff != "" {
			w.t.Errorf("sent (-want +got):\n%s", diff)
		}
	})
}
