// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deliver_test

import (
	"testing"
	"time"

	"mailpush.internal/services/listener-worker/internal/deliver"
	"mailpush.internal/services/listener-worker/internal/transport"
)

// rotated is subscription a whose secret is in slot 0 and was in slot 1 before.
func rotated(until time.Time) *transport.Subscription {
	out := subscribed("a", "https://a.example/")
	out.SecretVersion, out.Revision, out.PreviousSecretUntil = 2, 2, until.UnixNano()
	return out
}

func TestBothSecretsSignUntilTheOldOneEnds(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{}, func(w *fakeWorld) {
		w.put(user(1), rotated(time.Now().Add(time.Hour)))
		w.deliverMail(user(1), 1)
		pass(59 * time.Minute)
		w.deliverMail(user(1), 1)
		pass(time.Minute)
		w.deliverMail(user(1), 1)
		pass(time.Minute)
		w.checkKeys("key 1 other", "key 1 other", "key 1")
		w.checkOpened(2)
	})
}

func TestSecretBeforeIsInTheSlotThatIsNamed(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{}, func(w *fakeWorld) {
		subscription := rotated(time.Now().Add(time.Hour))
		subscription.SecretSlot, subscription.PreviousSecretSlot = 5, 1
		w.put(user(1), subscription)
		w.deliverMail(user(1), 1)
		pass(time.Second)
		w.checkKeys("key 1 other")
	})
}

func TestOldSecretIsNotOpenedOnceItHasEnded(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{}, func(w *fakeWorld) {
		w.put(user(1), rotated(time.Now()))
		w.deliverMail(user(1), 1)
		pass(time.Second)
		w.checkKeys("key 1")
		w.checkOpened(1)
	})
}

func TestSecretMovesToTheOtherSlotWhenItIsRotated(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{}, func(w *fakeWorld) {
		w.put(user(1), subscribed("a", "https://a.example/"))
		w.deliverMail(user(1), 1)
		pass(time.Second)
		next := rotated(time.Now().Add(time.Hour))
		next.SecretSlot, next.PreviousSecretSlot = 1, 0
		w.put(user(1), next)
		w.deliverMail(user(1), 1)
		pass(time.Second)
		w.checkKeys("key 1", "other key 3")
	})
}

func TestGrownRevisionOpensTheSecretAgain(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{}, func(w *fakeWorld) {
		w.put(user(1), subscribed("a", "https://a.example/"))
		pass(time.Second)
		renewed := subscribed("a", "https://a.example/")
		renewed.Revision++
		w.put(user(1), renewed)
		w.deliverMail(user(1), 1)
		pass(time.Second)
		w.checkKeys("key 2")
	})
}
