// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deliver_test

import (
	"strings"
	"testing"
	"time"

	"mailpush.internal/services/listener-worker/internal/deliver"
	"mailpush.internal/services/listener-worker/internal/transport"
)

// carrying is subscription a with headers in a slot.
func carrying(slot uint32) *transport.Subscription {
	out := subscribed("a", "https://a.example/")
	out.HeaderSlot = slot
	return out
}

// carried is what each push carried.
func carried(pushes []transport.Push) string {
	var out []string
	for _, push := range pushes {
		text := "-"
		for _, header := range push.Headers.For("o") {
			text = header.Name + "=" + header.Value.Reveal()
		}
		out = append(out, text)
	}
	return strings.Join(out, ", ")
}

func TestPushesCarryTheHeadersThatAreInForce(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{}, func(w *fakeWorld) {
		for _, slot := range []uint32{0, 5, 7, 0} {
			w.put(user(1), carrying(slot))
			w.deliverMail(user(1), 1)
			pass(time.Minute)
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		if got, want := carried(w.pushes), "-, X-Key=a 5, X-Key=a 7, -"; got != want {
			t.Errorf("pushed with %s, want %s", got, want)
		}
	})
}

func TestPingsAndTestsCarryHeaders(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{}, func(w *fakeWorld) {
		asked := carrying(5)
		asked.Confirmed = false
		w.put(user(1), asked)
		w.deliverMail(user(1), 1)
		pass(time.Minute)
		w.loop.Test(t.Context(), user(1), carrying(7))
		w.mu.Lock()
		defer w.mu.Unlock()
		if got, want := carried(w.pings)+", "+carried(w.tests), "X-Key=a 5, X-Key=a 7"; got != want {
			t.Errorf("asked and tested with %s, want %s", got, want)
		}
	})
}

func TestEndingsCarryHeaders(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{}, func(w *fakeWorld) {
		if err := w.loop.End(w.t.Context(), user(1), carrying(7), "unsubscribed"); err != nil {
			t.Error(err)
		}
		if err := w.loop.End(w.t.Context(), user(1), carrying(404), "unsubscribed"); err == nil {
			t.Error("told without headers that are lost")
		}
		pass(time.Minute)
		w.mu.Lock()
		defer w.mu.Unlock()
		if got := carried(w.endings); got != "X-Key=a 7" {
			t.Errorf("told with %s", got)
		}
	})
}

func TestNothingIsPushedWithoutHeadersThatAreLost(t *testing.T) {
	t.Parallel()
	inWorld(t, deliver.Config{}, func(w *fakeWorld) {
		w.put(user(1), carrying(404))
		w.deliverMail(user(1), 1)
		pass(time.Second)
		result := w.loop.Test(t.Context(), user(1), carrying(404))
		if result.Class != transport.Misconfigured || !strings.Contains(result.Detail, "headers are not in the vault any more: subscribe again") {
			t.Errorf("tested: %+v", result)
		}
		w.mu.Lock()
		if len(w.pushes)+len(w.tests) != 0 {
			t.Errorf("pushed with %s", carried(w.pushes))
		}
		w.mu.Unlock()
		again := carrying(405)
		again.Revision++
		w.put(user(1), again)
		pass(time.Second)
		w.mu.Lock()
		defer w.mu.Unlock()
		if got := carried(w.pushes); got != "X-Key=a 405" {
			t.Errorf("once they are given again: %s", got)
		}
	})
}
