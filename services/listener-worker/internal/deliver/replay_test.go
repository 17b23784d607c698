// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deliver_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mailpush.internal/services/listener-worker/internal/deliver"
	"mailpush.internal/services/listener-worker/internal/deliver/pump"
	"mailpush.internal/services/listener-worker/internal/transport"
)

// replayed is subscription a, to be pushed again from behind a UID on.
func replayed(replay uint64, uid uint32) *transport.Subscription {
	out := subscribed("a", "https://a.example/")
	out.Replay, out.Cursors[0].UID = replay, uid
	return out
}

func (w *fakeWorld) cursors() []deliver.Served {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []deliver.Served
	for _, commit := range w.commits {
		out = append(out, commit[claim()]...)
	}
	return out
}

func TestReplayBeginsAtTheListedCursor(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{}, func(w *fakeWorld) {
		w.put(user(1), subscribed("a", "https://a.example/"))
		w.deliverMail(user(1), 3)
		pass(10 * time.Second)
		w.loop.Put(claim(), user(1), "mail", subscriptions(replayed(1, 11)))
		pass(10 * time.Second)
		if diff := cmp.Diff([]uint32{11, 12, 13, 12, 13}, w.sent()["a"]); diff != "" {
			w.t.Errorf("sent (-want +got):\n%s", diff)
		}
		cursors := w.cursors()
		if len(cursors) != 2 || cursors[0].Replay != 0 || cursors[1].Replay != 1 || cursors[1].UID != 13 {
			w.t.Errorf("stored %+v", cursors)
		}
		w.loop.Put(claim(), user(1), "mail", subscriptions(replayed(1, 11))) // once more: no replay
		w.deliverMail(user(1), 1)
		pass(10 * time.Second)
		if got := len(w.sent()["a"]); got != 6 {
			w.t.Errorf("%d mails sent, want 6", got)
		}
	})
}

// What has yet to be stored when a replay comes must not be stored any more: it would
// be another end of the same line.
func TestReplayDropsWhatWaitsToBeStored(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{}, func(w *fakeWorld) {
		w.set(func(w *fakeWorld) { w.storeErr = errDown })
		w.put(user(1), subscribed("a", "https://a.example/"))
		w.deliverMail(user(1), 3)
		pass(time.Second)
		w.answer = func(context.Context, transport.Push) transport.Result {
			return transport.Result{Class: transport.Retry}
		}
		w.loop.Put(claim(), user(1), "mail", subscriptions(replayed(1, 10)))
		pass(time.Second)
		w.set(func(w *fakeWorld) { w.storeErr = nil })
		pass(10 * time.Second)
		if cursors := w.cursors(); len(cursors) != 0 {
			w.t.Errorf("stored %+v", cursors)
		}
		w.loop.Remove(user(1)) // and nothing of it is remembered
		w.set(func(w *fakeWorld) { w.answer = nil })
		w.put(user(1), replayed(1, 10))
		pass(10 * time.Second)
		if w.stored("a") != 13 {
			w.t.Errorf("the cursor is at %d", w.stored("a"))
		}
	})
}

func TestMailboxThatComesBackWithAReplayBeginsAtTheListedCursor(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{}, func(w *fakeWorld) {
		w.set(func(w *fakeWorld) { w.storeErr = errDown })
		w.put(user(1), subscribed("a", "https://a.example/"))
		w.deliverMail(user(1), 3)
		pass(time.Second)
		w.loop.Remove(user(1))
		w.put(user(1), replayed(1, 11))
		pass(time.Second)
		if diff := cmp.Diff([]uint32{11, 12, 13, 12, 13}, w.sent()["a"]); diff != "" {
			w.t.Errorf("sent (-want +got):\n%s", diff)
		}
	})
}

func TestReplayCutsOffWhatIsInFlight(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{}, func(w *fakeWorld) {
		w.answer = slow(time.Hour)
		w.put(user(1), subscribed("a", "https://a.example/"))
		w.deliverMail(user(1), 3)
		pass(time.Second)
		w.set(func(w *fakeWorld) { w.answer = nil })
		w.loop.Put(claim(), user(1), "mail", subscriptions(replayed(1, 12)))
		pass(time.Second)
		if diff := cmp.Diff([]uint32{11, 12, 13, 13}, w.sent()["a"]); diff != "" {
			w.t.Errorf("sent (-want +got):\n%s", diff)
		}
	})
}

// A mail that is refused for good is stepped over, and told with the cursor that does
// so, also when the registry could not be reached at first.
func TestDeadLetterIsStoredWithItsCursor(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{MaxUncommitted: 24 * time.Hour}, func(w *fakeWorld) {
		w.answer = func(_ context.Context, push transport.Push) transport.Result {
			if push.Batch.From <= 12 && 12 <= push.Batch.Upto {
				return transport.Result{Class: transport.PermanentItem, Detail: "the endpoint answered 413"}
			}
			return transport.Result{}
		}
		w.put(user(1), subscribed("a", "https://a.example/"))
		w.set(func(w *fakeWorld) { w.storeErr = errDown })
		w.deliverMail(user(1), 3)
		pass(2 * time.Hour)
		w.set(func(w *fakeWorld) { w.storeErr = nil })
		pass(time.Minute)
		cursors := w.cursors()
		if len(cursors) != 1 || cursors[0].UID != 13 || len(cursors[0].DeadLetters) != 1 {
			w.t.Fatalf("stored %+v", cursors)
		}
		want := pump.Skip{UIDValidity: 7, From: 12, Upto: 12, Reason: "the endpoint answered 413"}
		if letter := cursors[0].DeadLetters[0]; letter.Skip != want || letter.At.IsZero() {
			w.t.Errorf("dead letter %+v", letter)
		}
	})
}
