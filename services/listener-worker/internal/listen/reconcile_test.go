// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"container/heap"
	"testing"
	"time"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/mailbox"
	"mailpush.internal/services/listener-worker/internal/moment"
)

// waitersOf are so many listeners whose proofs are a second apart, the first the oldest.
func waitersOf(n int, perSecond uint32, now moment.Moment) *waiters {
	w := &waiters{}
	store := &mailv1.MailStore{Name: "main", ReconcilePerSecond: perSecond}
	for i := n - 1; i >= 0; i-- {
		r := &running{mailbox: mailbox.Listening{Store: store}}
		r.waits = &place{among: w, proof: now.Add(time.Duration(i-n) * time.Second)}
		heap.Push(&w.heap, r)
	}
	return w
}

func TestTurnsKeepToTheRate(t *testing.T) {
	t.Parallel()
	now := moment.Of(time.Now())
	for name, c := range map[string]struct {
		perSecond uint32
		workers   int
		want      int // mailboxes in a minute
	}{
		"as it is by default": {0, 1, 25 * 60},
		"of three workers":    {0, 3, 8 * 60},
		"many workers":        {25, 1000, 1}, // one in 40 s, and the first at once
		"often":               {2000, 1, 2000 * 60},
		"seldom":              {1, 1, 60},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := waitersOf(200_000, c.perSecond, now)
			got, largest := 0, 0
			for at := now; at < now.Add(time.Minute); at = w.due(time.Second) {
				turn := w.turn(at, time.Second, c.workers)
				got, largest = got+len(turn), max(largest, len(turn))
			}
			if got < c.want || got > c.want+c.want/15+turnAtMost || largest > turnAtMost {
				t.Errorf("%d mailboxes in a minute, want %d; %d at once", got, c.want, largest)
			}
		})
	}
}

func TestTheOldestProofHasItsTurnFirst(t *testing.T) {
	t.Parallel()
	now := moment.Of(time.Now())
	w := waitersOf(100, 25, now)
	var last moment.Moment
	for at := now; len(w.heap) > 0; at = w.next {
		for _, r := range w.turn(at, 0, 1) {
			if r.waits != nil {
				t.Error("it still waits")
			}
			last = at
		}
	}
	if took := last.Sub(now); took != 3*time.Second {
		t.Errorf("100 listeners took %s, want 4 turns", took)
	}
}

// Few listeners are not asked again and again: a young proof is good enough.
func TestAYoungProofHasNoTurn(t *testing.T) {
	t.Parallel()
	now := moment.Of(time.Now())
	w := waitersOf(30, 25, now) // from 1 to 30 seconds old
	turn := w.turn(now, 10*time.Second, 1)
	if len(turn) != 21 {
		t.Errorf("%d listeners have a turn, want those whose proof is 10 s old", len(turn))
	}
	if again := w.turn(now.Add(time.Second), 10*time.Second, 1); len(again) != 1 {
		t.Errorf("%d a second later", len(again))
	}
}

// Who begins and ends to wait has a place, and only then.
func TestPlaces(t *testing.T) {
	t.Parallel()
	c := newReconciler(nil, time.Second)
	const waits, looks = mailv1.ListenerState_LISTENER_STATE_WAITING, mailv1.ListenerState_LISTENER_STATE_CONNECTING
	var all []*running
	for range 10 {
		r := &running{mailbox: mailbox.Listening{Store: &mailv1.MailStore{Name: "main"}}}
		c.moved(r, looks, waits)
		c.moved(r, waits, waits)
		all = append(all, r)
	}
	w := all[0].waits.among
	if len(w.heap) != 10 {
		t.Fatalf("%d have a place", len(w.heap))
	}
	for _, r := range all[3:8] {
		c.moved(r, waits, looks)
		c.leave(r)
	}
	if len(w.heap) != 5 {
		t.Errorf("%d have a place", len(w.heap))
	}
	for i, r := range w.heap {
		if r.waits.index != i {
			t.Errorf("at %d is who thinks to be at %d", i, r.waits.index)
		}
	}
}
