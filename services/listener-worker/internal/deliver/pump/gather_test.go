// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pump_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/deliver/pump"
	"mailpush.internal/services/listener-worker/internal/mailbox"
	"mailpush.internal/services/listener-worker/internal/transport"
)

// latest is a push of the newest mail for a range of some.
func latest(attempt int, from, upto uint32, count int, newest uint32) pump.Send {
	send := batch(attempt, from, upto, newest)
	send.Batch.Count = count
	return send
}

// burst lets 500 mails come within 10 s, then all come to rest.
func burst(t *testing.T, mode mailv1.Mode) *world {
	t.Helper()
	w := newWorld(t, begin(mode))
	for range 500 {
		w.arrive(1)
		w.run(20 * time.Millisecond)
	}
	w.run(time.Minute)
	if w.cursor.UID != 510 {
		t.Errorf("the cursor is at %d, want 510", w.cursor.UID)
	}
	return w
}

func TestBurst(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		mode        mailv1.Mode
		least, most int
	}{
		"latest": {mailv1.Mode_MODE_LATEST, 5, 6},
		"batch":  {mailv1.Mode_MODE_BATCH, 7, 10},
		"each":   {mailv1.Mode_MODE_EACH, 500, 500},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := burst(t, c.mode)
			if n := len(w.requests); n < c.least || n > c.most {
				t.Errorf("500 mails in 10 s: %d requests, want %d to %d", n, c.least, c.most)
			}
			total := 0
			for _, batch := range w.requests {
				total += batch.Count
			}
			if total != 500 {
				t.Errorf("%d mails were counted", total)
			}
		})
	}
}

// at are the times of the requests after the beginning, for mail at the given times.
func at(t *testing.T, mode mailv1.Mode, mails ...time.Duration) []time.Duration {
	t.Helper()
	w := newWorld(t, begin(mode))
	var out []time.Duration
	w.answer = func(transport.Batch) transport.Result {
		out = append(out, w.now.Sub(epoch()))
		return transport.Result{}
	}
	for _, after := range mails {
		w.run(epoch().Add(after).Sub(w.now))
		w.arrive(1)
	}
	w.run(time.Hour)
	return out
}

func TestWindows(t *testing.T) {
	t.Parallel()
	const s = time.Second
	for name, c := range map[string]struct{ mails, want []time.Duration }{
		"the first goes at once":              {[]time.Duration{0}, []time.Duration{0}},
		"the next waits for the window's end": {[]time.Duration{0, s / 2}, []time.Duration{0, s}},
		"windows double": {
			[]time.Duration{0, s / 2, 2 * s, 5 * s, 10 * s, 20 * s, 40 * s, 70 * s},
			[]time.Duration{0, s, 3 * s, 7 * s, 15 * s, 31 * s, 61 * s, 91 * s},
		},
		"after a window without mail the next goes at once": {
			[]time.Duration{0, 10 * s, 11 * s, 40 * s}, []time.Duration{0, 10 * s, 12 * s, 40 * s},
		},
		"a quiet minute brings the short window back": {
			[]time.Duration{0, 10 * s, 20 * s, 30 * s, 90 * s, 90*s + s/2}, []time.Duration{0, 10 * s, 20 * s, 30 * s, 90 * s, 91 * s},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, mode := range []mailv1.Mode{mailv1.Mode_MODE_BATCH, mailv1.Mode_MODE_LATEST} {
				if diff := cmp.Diff(c.want, at(t, mode, c.mails...)); diff != "" {
					t.Errorf("mode %v: requests (-want +got):\n%s", mode, diff)
				}
			}
			if diff := cmp.Diff(c.mails, at(t, mailv1.Mode_MODE_EACH, c.mails...)); diff != "" {
				t.Errorf("each is sent at once (-want +got):\n%s", diff)
			}
		})
	}
}

func TestBacklogIsSentAtOnce(t *testing.T) {
	t.Parallel()
	for name, outage := range map[string]time.Duration{"of a take-over": 0, "of an outage": time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, begin(mailv1.Mode_MODE_BATCH))
			w.answer = func(transport.Batch) transport.Result {
				if w.now.Sub(epoch()) < outage {
					return transport.Result{Class: transport.Retry}
				}
				return transport.Result{}
			}
			w.arrive(1)
			w.arrive(999) // before the first is read
			w.run(outage)
			w.arrive(1000)
			w.run(20 * time.Minute)
			ends := w.requests[len(w.requests)-1]
			if w.cursor.UID != 2010 || ends.Upto != 2010 {
				t.Fatalf("the cursor is at %d", w.cursor.UID)
			}
			if began := w.requests[len(w.requests)-20]; !began.Noticed.Equal(ends.Noticed) && outage > 0 {
				t.Errorf("it took from %v to %v", began.Noticed, ends.Noticed)
			}
		})
	}
}

func TestWhatAWindowGatheredGoesWithoutMoreWindows(t *testing.T) {
	t.Parallel()
	w := newWorld(t, begin(mailv1.Mode_MODE_BATCH))
	w.arrive(1)
	w.run(time.Second / 2)
	w.arrive(300)
	w.run(time.Second / 2)
	if n := len(w.requests); n < 4 || w.cursor.UID != 311 {
		t.Fatalf("%d requests, the cursor is at %d", n, w.cursor.UID)
	}
	w.arrive(1)
	w.run(2*time.Second - 1)
	if w.cursor.UID != 311 {
		t.Error("the window after was closed")
	}
}

func TestGatheringSurvivesAFolderThatShrank(t *testing.T) {
	t.Parallel()
	w := newWorld(t, begin(mailv1.Mode_MODE_BATCH))
	w.answer = func(transport.Batch) transport.Result {
		if w.now.Equal(epoch()) {
			return transport.Result{Class: transport.Retry}
		}
		return transport.Result{}
	}
	w.arrive(1000) // all are to go without a window
	w.settle()
	w.next = 13 // but they never do
	w.tell()
	for range 100 {
		w.run(time.Second / 10)
		w.arrive(1)
	}
	if n := len(w.requests); n > 10 {
		t.Errorf("%d requests for 102 mails", n)
	}
}

func TestRenewedSubscriptionDoesNotGather(t *testing.T) {
	t.Parallel()
	play(t, begin(mailv1.Mode_MODE_BATCH), begun(
		step{0, head(15), nil},
		step{0, answer(transport.OK), effects(commit(12), pump.Done{}, wait(time.Second))},
		step{0, pump.Renewed{Confirmed: true}, effects(pump.Ready{})},
	))
}

func TestPagesOfThePastAreDropped(t *testing.T) {
	t.Parallel()
	first := []step{
		{0, head(101), effects(pump.Ready{})},
		{0, pump.Turn{}, effects(pump.Fetch{From: 11}, wait(patience))},
		{0, pump.Fetched{Head: head(101), From: 11, Upto: 60, Mails: mails(11, 60)}, effects(pump.Fetch{From: 61}, wait(patience))},
	}
	second := step{0, fetched(61, 100, 61, 100), effects(pump.Fetch{From: 11})}
	t.Run("when the folder ended before what they hold", func(t *testing.T) {
		t.Parallel()
		play(t, begin(mailv1.Mode_MODE_LATEST), append(first[:3:3], step{0, head(31), nil}, step{0, head(101), nil}, second))
	})
	t.Run("when the mode is another", func(t *testing.T) {
		t.Parallel()
		play(t, begin(mailv1.Mode_MODE_LATEST), append(first[:3:3], step{0, pump.Renewed{Confirmed: true}, nil}, second))
	})
	t.Run("when the folder was renumbered", func(t *testing.T) {
		t.Parallel()
		play(t, begin(mailv1.Mode_MODE_EACH), []step{
			{0, head(13), effects(pump.Ready{})},
			{0, pump.Turn{}, effects(pump.Fetch{From: 11}, wait(patience))},
			{0, fetched(11, 12, 11, 12), effects(batch(1, 11, 11, 11))},
			{0, pump.Head{UIDValidity: uv + 1, UIDNext: 101}, nil},
			{0, answer(transport.OK), effects(commit(11), pump.Done{}, pump.Ready{})},
		})
	})
}

func TestLatestCountsThroughManyPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t, begin(mailv1.Mode_MODE_LATEST))
	for uid := uint32(11); uid < 11+1000; uid++ {
		w.present[uid] = uid%2 == 1
	}
	w.next = 1011
	w.tell()
	w.run(time.Second)
	if len(w.requests) != 1 {
		t.Fatalf("%d requests, want 1", len(w.requests))
	}
	got := w.requests[0]
	if got.From != 11 || got.Upto != 1010 || got.Count != 500 || len(got.Mails) != 1 || got.Mails[0].UID != 1009 {
		t.Errorf("it says %d mails in %d-%d, newest %v", got.Count, got.From, got.Upto, got.Mails)
	}
}

func TestEachHoldsOnePageForManyRequests(t *testing.T) {
	t.Parallel()
	play(t, begin(mailv1.Mode_MODE_EACH), []step{
		{0, head(14), effects(pump.Ready{})},
		{0, pump.Turn{}, effects(pump.Fetch{From: 11}, wait(patience))},
		{0, fetched(11, 13, 11, 12), effects(batch(1, 11, 11, 11))},
		{0, answer(transport.OK), effects(commit(11), batch(1, 12, 13, 12))},
		{0, answer(transport.Retry), effects(pump.Done{}, wait(time.Second))},
		{time.Second, pump.Tick{}, effects(pump.Ready{})},
		{0, pump.Turn{}, effects(pump.Fetch{From: 12}, wait(patience))},
		{0, fetched(12, 14, 12, 14), effects(batch(2, 12, 13, 12))},
		{0, answer(transport.OK), effects(pump.Commit{Cursor: mailbox.Cursor{UIDValidity: uv, UID: 13}, Vanished: 1}, pump.Done{}, pump.Ready{})},
	})
}
