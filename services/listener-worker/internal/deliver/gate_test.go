// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deliver_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"mailpush.internal/pkg/hold"
	"mailpush.internal/services/listener-worker/internal/deliver"
	"mailpush.internal/services/listener-worker/internal/transport"
)

// inDoubt runs a test with users that are in doubt from the beginning.
func inDoubt(t *testing.T, users int, test func(w *fakeWorld)) {
	t.Helper()
	t.Parallel()
	inWorld(t, deliver.Config{}, func(w *fakeWorld) {
		for n := range users {
			w.put(user(n), subscribed(fmt.Sprint("sub", n), "https://a.example/"))
		}
		w.set(func(w *fakeWorld) { w.doubtful = true })
		test(w)
	})
}

// expect expects so many pushes, and questions before them.
func (w *fakeWorld) expect(what string, pushes, asked int) {
	w.t.Helper()
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.pushes) != pushes || w.asked != asked {
		w.t.Errorf("%s: %d pushes after %d questions, want %d after %d", what, len(w.pushes), w.asked, pushes, asked)
	}
}

func TestEachDeliveryInDoubtIsPrecededByItsQuestion(t *testing.T) {
	inDoubt(t, 1, func(w *fakeWorld) {
		w.deliverMail(user(0), 1)
		pass(time.Second)
		w.expect("first mail", 1, 1)
		w.deliverMail(user(0), 1)
		pass(time.Minute)
		w.expect("second mail", 2, 2)
		if uid := w.stored("sub0"); uid != 12 {
			w.t.Errorf("the cursor is at %d", uid)
		}
		w.set(func(w *fakeWorld) { w.doubtful = false })
		w.deliverMail(user(0), 1)
		pass(time.Minute)
		w.expect("current", 3, 2)
	})
}

func TestDeliveriesThatWaitTogetherShareAQuestion(t *testing.T) {
	inDoubt(t, 20, func(w *fakeWorld) {
		for n := range 20 {
			w.deliverMail(user(n), 1)
		}
		pass(time.Second)
		w.mu.Lock()
		defer w.mu.Unlock()
		if len(w.pushes) != 20 || w.asked > 3 {
			w.t.Errorf("%d pushes after %d questions", len(w.pushes), w.asked)
		}
	})
}

func TestNothingIsSentInDoubtWhenTheClaimIsRefused(t *testing.T) {
	inDoubt(t, 1, func(w *fakeWorld) {
		w.set(func(w *fakeWorld) { w.refuse = []hold.Claim{claim()} })
		w.deliverMail(user(0), 1)
		pass(time.Minute)
		w.expect("refused", 0, 1)
		if len(w.refused) != 1 || w.refused[0] != claim() || w.stored("sub0") != 0 {
			w.t.Errorf("told of %v, cursor %d", w.refused, w.stored("sub0"))
		}
		w.set(func(w *fakeWorld) { w.doubtful = false })
		w.deliverMail(user(0), 1)
		pass(time.Hour)
		w.expect("dropped", 0, 1)
	})
}

func TestDoubtWaitsForARegistryThatIsAway(t *testing.T) {
	inDoubt(t, 1, func(w *fakeWorld) {
		w.set(func(w *fakeWorld) { w.askErr = errDown })
		w.deliverMail(user(0), 1)
		pass(time.Minute)
		w.mu.Lock()
		if len(w.pushes) != 0 || w.asked < 10 || w.asked > 40 {
			w.t.Errorf("%d pushes after %d questions", len(w.pushes), w.asked)
		}
		w.mu.Unlock()
		w.set(func(w *fakeWorld) { w.askErr = nil })
		pass(10 * time.Second)
		if sent := w.sent()["sub0"]; len(sent) != 1 || w.pushes[0].Batch.Attempt != 1 {
			w.t.Errorf("sent %v", sent)
		}
	})
}

func TestDoubtThatEndsNeedsNoAnswer(t *testing.T) {
	inDoubt(t, 1, func(w *fakeWorld) {
		w.set(func(w *fakeWorld) { w.askErr = errDown })
		w.deliverMail(user(0), 1)
		pass(time.Minute)
		w.set(func(w *fakeWorld) { w.doubtful = false })
		pass(10 * time.Second)
		if sent := w.sent()["sub0"]; len(sent) != 1 {
			w.t.Errorf("sent %v", sent)
		}
	})
}

func TestWhatWaitsInDoubtCanBeDroppedAndDrained(t *testing.T) {
	inDoubt(t, 2, func(w *fakeWorld) {
		w.set(func(w *fakeWorld) { w.askErr = errDown })
		w.deliverMail(user(0), 1)
		pass(time.Second)
		ctx, cancel := context.WithTimeout(w.t.Context(), 3*time.Second)
		defer cancel()
		began := time.Now()
		if err := w.loop.Drain(ctx, []hold.Claim{claim()}); err == nil || time.Since(began) != 3*time.Second {
			w.t.Errorf("drained after %v: %v", time.Since(began), err)
		}
		w.put(user(1), subscribed("sub1", "https://a.example/"))
		w.deliverMail(user(1), 1)
		pass(time.Second)
		w.loop.Drop([]hold.Claim{claim()})
		pass(time.Second)
		asked := w.asked
		w.set(func(w *fakeWorld) { w.askErr, w.doubtful = nil, false })
		pass(time.Hour)
		w.expect("nothing is left", 0, asked)
	})
}

func TestDoubtDoesNotUseUpATurnForEver(t *testing.T) {
	inDoubt(t, 1, func(w *fakeWorld) {
		w.set(func(w *fakeWorld) {
			w.answer = func(context.Context, transport.Push) transport.Result {
				return transport.Result{Class: transport.Retry}
			}
		})
		w.deliverMail(user(0), 1)
		pass(time.Minute)
		w.mu.Lock()
		defer w.mu.Unlock()
		if len(w.pushes) < 3 || w.asked != len(w.pushes) {
			w.t.Errorf("%d tries after %d questions", len(w.pushes), w.asked)
		}
	})
}
