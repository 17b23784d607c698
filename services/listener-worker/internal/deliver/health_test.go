// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deliver

import (
	"testing"
	"testing/synctest"
	"time"

	"mailpush.internal/services/listener-worker/internal/mailbox"
	"mailpush.internal/services/listener-worker/internal/transport"
)

// deafWorld is a world whose mailboxes do not answer.
type deafWorld struct{ failingWorld }

func (*deafWorld) Fetch(mailbox.User, uint32, mailbox.Detail) {}

// A loop that was held up finds that an origin works and that a mailbox has not answered
// in time, at once: the one must not make it forget the other.
func TestAwakeningDoesNotLoseTheTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &deafWorld{}
		l := New(Config{}, transport.Table{transport.Webhook: w}, w, w, w)
		w.loop, l.ctx, l.beside = l, t.Context(), func(f func()) { f() }
		w.put(1, shared)
		w.arrive(2, 12)
		drive(l, time.Second)
		lane := l.boxes[mailbox.User{Context: "1", ID: "1"}].lanes[0]
		lane.awake = true
		l.timers.Set(lane, time.Now().Add(awakeWithin))
		<-time.After(time.Hour) // simulated
		l.round(time.Now())
		if !lane.Waits() {
			t.Error("a pump waits for a mailbox for ever")
		}
	})
}
