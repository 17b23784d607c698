// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deliver_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"mailpush.internal/pkg/hold"
	"mailpush.internal/services/listener-worker/internal/deliver"
	"mailpush.internal/services/listener-worker/internal/transport"
)

// slow takes d to accept a push.
func slow(d time.Duration) func(context.Context, transport.Push) transport.Result {
	return func(ctx context.Context, _ transport.Push) transport.Result {
		select {
		case <-time.After(d):
			return transport.Result{}
		case <-ctx.Done():
			return transport.Result{Class: transport.Retry}
		}
	}
}

func TestDrainFinishesAndStoresWhatIsInFlight(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{CommitEvery: time.Hour}, func(w *fakeWorld) {
		w.answer = slow(3 * time.Second)
		w.put(user(1), subscribed("a", "https://a.example/"))
		w.deliverMail(user(1), 1)
		pass(time.Second)
		w.deliverMail(user(1), 1)
		began := time.Now()
		if err := w.loop.Drain(w.t.Context(), []hold.Claim{claim()}); err != nil {
			w.t.Fatal(err)
		}
		if took := time.Since(began); took > 2100*time.Millisecond {
			w.t.Errorf("the drain took %v", took)
		}
		if w.stored("a") != 11 || len(w.pushes) != 1 {
			w.t.Errorf("cursor %d after %d pushes, want 11 after 1", w.stored("a"), len(w.pushes))
		}
	})
}

// The last group is stored before a drain ends, whatever is being stored when it
// begins and however long that takes.
func TestDrainEndsWhenTheRegistryHasEverything(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{}, func(w *fakeWorld) {
		w.storing = time.Second
		w.put(user(1), subscribed("a", "https://a.example/"), subscribed("b", "https://b.example/"))
		w.answer = func(ctx context.Context, push transport.Push) transport.Result {
			if push.Subscription == "b" {
				return slow(800*time.Millisecond)(ctx, push)
			}
			return transport.Result{}
		}
		w.deliverMail(user(1), 1)
		pass(500 * time.Millisecond) // a is being stored, b is in flight
		if err := w.loop.Drain(w.t.Context(), []hold.Claim{claim()}); err != nil {
			w.t.Fatal(err)
		}
		if w.stored("a") != 11 || w.stored("b") != 11 || len(w.commits) != 2 {
			w.t.Errorf("cursors %d and %d after %d groups", w.stored("a"), w.stored("b"), len(w.commits))
		}
	})
}

// A worker that stops while it hands shards over drains those a second time.
func TestDrainWaitsForAnEarlierOneOfTheSame(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{}, func(w *fakeWorld) {
		w.answer = slow(3 * time.Second)
		w.put(user(1), subscribed("a", "https://a.example/"))
		w.deliverMail(user(1), 1)
		pass(time.Second)
		first := make(chan error, 1)
		go func() { first <- w.loop.Drain(w.t.Context(), []hold.Claim{claim()}) }()
		pass(time.Second)
		if err := w.loop.Drain(w.t.Context(), []hold.Claim{claim()}); err != nil {
			w.t.Fatal(err)
		}
		if w.stored("a") != 11 {
			w.t.Errorf("the cursor stood at %d when the second drain ended, want 11", w.stored("a"))
		}
		if err := <-first; err != nil {
			w.t.Error(err)
		}
	})
}

func TestDrainEndsWithAnEarlierOneThatIsCutOff(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{}, func(w *fakeWorld) {
		w.answer = slow(time.Hour)
		w.put(user(1), subscribed("a", "https://a.example/"))
		w.deliverMail(user(1), 1)
		pass(time.Second)
		ctx, cancel := context.WithTimeout(w.t.Context(), 5*time.Second)
		defer cancel()
		first := make(chan error, 1)
		go func() { first <- w.loop.Drain(ctx, []hold.Claim{claim()}) }()
		pass(time.Second)
		if err := w.loop.Drain(w.t.Context(), []hold.Claim{claim()}); err != nil {
			w.t.Error(err)
		}
		if err := <-first; !errors.Is(err, context.DeadlineExceeded) {
			w.t.Errorf("the first drain: %v", err)
		}
	})
}

func TestDrainOfNothingIsAtOnce(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{}, func(w *fakeWorld) {
		if err := w.loop.Drain(w.t.Context(), []hold.Claim{claim()}); err != nil {
			w.t.Fatal(err)
		}
	})
}

func TestDrainIsBounded(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{Turns: 1}, func(w *fakeWorld) {
		w.answer = slow(time.Hour)
		w.put(user(1), subscribed("a", "https://a.example/"))
		w.deliverMail(user(1), 1)
		pass(time.Second)
		ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
		defer cancel()
		if err := w.loop.Drain(ctx, []hold.Claim{claim()}); !errors.Is(err, context.DeadlineExceeded) {
			w.t.Errorf("Drain = %v", err)
		}
		pass(time.Second)
		w.set(func(w *fakeWorld) { w.answer = nil })
		w.put(user(2), subscribed("b", "https://a.example/"))
		w.deliverMail(user(2), 1)
		pass(time.Second)
		if w.stored("a") != 0 || w.stored("b") != 11 {
			w.t.Errorf("cursors %d and %d: the one turn must be free again", w.stored("a"), w.stored("b"))
		}
	})
}

func TestDropCutsOff(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{Turns: 1}, func(w *fakeWorld) {
		w.answer = slow(time.Hour)
		w.put(user(1), subscribed("a", "https://a.example/"))
		w.deliverMail(user(1), 1)
		pass(time.Second)
		w.loop.Drop([]hold.Claim{claim()})
		w.deliverMail(user(1), 1)
		pass(time.Hour)
		if len(w.pushes) != 1 || len(w.commits) != 0 {
			w.t.Errorf("%d pushes, %d commits, want 1 and 0", len(w.pushes), len(w.commits))
		}
	})
}

func TestDrainEndsWithTheLoop(t *testing.T) {
	t.Parallel()
	w := &fakeWorld{}
	w.loop = deliver.New(deliver.Config{}, transport.Table{transport.Webhook: w}, w, w, w)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.loop.Run(ctx); err != nil {
		w.t.Fatal(err)
	}
	if err := w.loop.Drain(t.Context(), []hold.Claim{claim()}); err == nil {
		w.t.Error("a drain without a loop succeeded")
	}
}
