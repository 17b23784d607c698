// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deliver_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"mailpush.internal/services/listener-worker/internal/deliver"
	"mailpush.internal/services/listener-worker/internal/mailbox"
	"mailpush.internal/services/listener-worker/internal/transport"
)

// slowVault takes d to open a secret.
func slowVault(d time.Duration) func(context.Context, mailbox.User, int) error {
	return func(ctx context.Context, _ mailbox.User, _ int) error {
		select {
		case <-time.After(d):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// checkKeys compares what pushes were signed with, in order.
func (w *fakeWorld) checkKeys(want ...string) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.pushes) != len(want) {
		w.t.Fatalf("%d pushes, want %d", len(w.pushes), len(want))
	}
	for i, push := range w.pushes {
		if got := push.Secret.Reveal(); got != want[i] {
			w.t.Errorf("push %d was signed with %q, want %q", i, got, want[i])
		}
	}
}

func (w *fakeWorld) checkOpened(want int) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.opened != want {
		w.t.Errorf("the vault was asked %d times, want %d", w.opened, want)
	}
}

func TestFirstPushDoesNotWaitForTheVault(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{}, func(w *fakeWorld) {
		w.open = slowVault(5 * time.Second)
		w.put(user(1), subscribed("a", "https://a.example/"))
		pass(6 * time.Second)
		w.deliverMail(user(1), 1)
		pass(2 * time.Millisecond) // a fetch takes one
		w.checkKeys("key 1")
		w.checkOpened(1)
	})
}

func TestMailboxThatHasNotShownItselfOpensNothing(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{}, func(w *fakeWorld) {
		w.loop.Put(claim(), user(1), "mail", []*transport.Subscription{subscribed("a", "https://a.example/")})
		pass(time.Second)
		w.checkOpened(0)
	})
}

func TestSecretsAreOpenedAheadFewAtATime(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{}, func(w *fakeWorld) {
		w.open = slowVault(time.Second)
		for n := range 100 {
			w.put(user(n), subscribed(fmt.Sprint(n), "https://a.example/"))
		}
		pass(500 * time.Millisecond)
		w.checkOpened(8)
		pass(time.Second)
		w.checkOpened(16)
		pass(time.Minute)
		w.checkOpened(100)
	})
}

func TestVaultThatHangsWhileOpeningAheadHoldsUpNoPush(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{Prefetches: 2}, func(w *fakeWorld) {
		w.open = func(ctx context.Context, _ mailbox.User, n int) error {
			if n <= 2 {
				return slowVault(10*time.Second)(ctx, user(n), n)
			}
			return nil
		}
		w.answer = func(ctx context.Context, push transport.Push) transport.Result {
			if push.Target.Address == "https://slow.example/" {
				return slow(time.Minute)(ctx, push)
			}
			return transport.Result{}
		}
		for n := range 10 {
			w.put(user(n), subscribed(fmt.Sprint(n), []string{"https://fast.example/", "https://slow.example/"}[n%2]))
		}
		pass(time.Second)
		w.checkOpened(2)
		for n := range 10 {
			w.deliverMail(user(n), 1)
		}
		pass(time.Second)
		w.checkOpened(12)
		if len(w.pushes) != 10 {
			w.t.Errorf("%d pushes, want 10", len(w.pushes))
		}
		pass(20 * time.Second)
		w.checkOpened(12) // there is nothing left to open ahead
	})
}

func TestWhatCouldNotBeOpenedAheadIsLeftToTheFirstPush(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{}, func(w *fakeWorld) {
		w.open = func(context.Context, mailbox.User, int) error { return errDown }
		w.put(user(1), subscribed("a", "https://a.example/"))
		pass(time.Hour)
		w.checkOpened(1)
		w.set(func(w *fakeWorld) { w.open = nil })
		w.deliverMail(user(1), 1)
		pass(2 * time.Millisecond)
		w.checkKeys("key 2")
	})
}

func TestLateRefusalDoesNotForgetWhatThePushOpened(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{}, func(w *fakeWorld) {
		w.open = func(_ context.Context, _ mailbox.User, n int) error {
			if n == 1 {
				<-time.After(time.Second)
				return errDown
			}
			return nil
		}
		w.put(user(1), subscribed("a", "https://a.example/"))
		w.deliverMail(user(1), 1)
		pass(2 * time.Second)
		w.deliverMail(user(1), 1)
		pass(time.Second)
		w.checkKeys("key 2", "key 2")
		w.checkOpened(2)
	})
}

func TestNewSecretIsOpenedAheadToo(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{}, func(w *fakeWorld) {
		w.put(user(1), subscribed("a", "https://a.example/"))
		pass(time.Second)
		w.set(func(w *fakeWorld) { w.open = slowVault(5 * time.Second) })
		renewed := subscribed("a", "https://a.example/")
		renewed.SecretVersion = 2
		w.put(user(1), renewed)
		pass(6 * time.Second)
		w.deliverMail(user(1), 1)
		pass(2 * time.Millisecond)
		w.checkKeys("key 2")
		w.checkOpened(2)
	})
}

func TestSecretThatIsReplacedWhileItIsOpenedIsNotUsed(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{}, func(w *fakeWorld) {
		w.open = func(ctx context.Context, _ mailbox.User, n int) error {
			return slowVault([]time.Duration{5 * time.Second, time.Second}[n-1])(ctx, user(1), n)
		}
		w.put(user(1), subscribed("a", "https://a.example/"))
		pass(time.Second)
		renewed := subscribed("a", "https://a.example/")
		renewed.SecretVersion = 2
		w.put(user(1), renewed)
		pass(time.Minute)
		w.deliverMail(user(1), 1)
		pass(time.Second)
		w.checkKeys("key 2")
	})
}

func TestAnotherURLKeepsTheSecret(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{}, func(w *fakeWorld) {
		w.put(user(1), subscribed("a", "https://old.example/"))
		pass(time.Second)
		w.put(user(1), subscribed("a", "https://new.example/"))
		w.deliverMail(user(1), 1)
		pass(time.Second)
		w.checkKeys("key 1")
		w.checkOpened(1)
	})
}

func TestRemovedMailboxIsNotOpenedFor(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{Prefetches: 1}, func(w *fakeWorld) {
		var asked []mailbox.User // one at a time
		w.open = func(ctx context.Context, user mailbox.User, n int) error {
			asked = append(asked, user)
			return slowVault(5*time.Second)(ctx, user, n)
		}
		for n := range 3 {
			w.put(user(n), subscribed(fmt.Sprint(n), "https://a.example/"))
			pass(time.Second)
		}
		w.loop.Remove(user(0)) // its secret is being opened
		w.loop.Remove(user(1)) // waits
		pass(time.Minute)
		if len(asked) != 2 || asked[0] != user(0) || asked[1] != user(2) {
			w.t.Errorf("opened for %v", asked)
		}
		w.put(user(0), subscribed("0", "https://a.example/")) // begins anew
		pass(time.Minute)
		w.checkOpened(3)
	})
}
