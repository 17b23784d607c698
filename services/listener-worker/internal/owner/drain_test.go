// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package owner_test

import (
	"slices"
	"testing"
	"time"

	"mailpush.internal/pkg/fault"
	clusterv1 "mailpush.internal/proto/gen/mailpush/cluster/v1"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
)

// move tells the newest member to run some shards and to let others go.
func (w *fakeWorld) move(generation, epoch uint64, granted, revoked []uint32) {
	set := func(numbers []uint32) *mailv1.ShardSet {
		return &mailv1.ShardSet{Backend: backend, Shards: numbers, Epochs: slices.Repeat([]uint64{epoch}, len(numbers))}
	}
	want := &clusterv1.Want{Generation: generation, Granted: []*mailv1.ShardSet{set(granted)}}
	if len(revoked) > 0 {
		want.Revoked = []*clusterv1.Revocation{{Generation: generation, Shards: set(revoked)}}
	}
	w.member().wants <- want
}

func (w *fakeWorld) expectDraining(what string, want bool) {
	w.t.Helper()
	m := w.member()
	w.mu.Lock()
	defer w.mu.Unlock()
	if m.drains != want {
		w.t.Errorf("%s: %s drains: %v, want %v", what, m.id, m.drains, want)
	}
}

// stopping begins to stop and returns how long it has taken, once it has ended.
func (w *fakeWorld) stopping(stop func()) (took func() (time.Duration, bool)) {
	began, ended := time.Now(), make(chan time.Duration, 1)
	go func() {
		stop()
		ended <- time.Since(began)
	}()
	return func() (time.Duration, bool) {
		select {
		case d := <-ended:
			return d, true
		default:
			return 0, false
		}
	}
}

func TestDrainingOutlivesAMembership(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *fakeWorld, _ func()) {
		set := func(draining bool) {
			w.t.Helper()
			if err := w.owner.SetDraining(w.t.Context(), draining); err != nil {
				w.t.Error(err)
			}
		}
		set(true)
		set(true)
		w.expectDraining("told", true)
		w.set(func(w *fakeWorld) { w.joinErr = errDown })
		close(w.member().lost)
		pass(time.Second)
		w.set(func(w *fakeWorld) { w.joinErr = nil })
		pass(10 * time.Second)
		if w.owner.ID() != "worker-2" {
			w.t.Fatalf("id %q, want worker-2", w.owner.ID())
		}
		w.expectDraining("joined anew", true)

		w.set(func(w *fakeWorld) { w.joinErr = errDown })
		close(w.member().lost)
		pass(time.Second)
		set(false) // while it is no member
		w.set(func(w *fakeWorld) { w.joinErr = nil })
		pass(10 * time.Second)
		w.expectDraining("undrained meanwhile", false)
	})
}

func TestDrainingThatCannotBeToldIsAnError(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *fakeWorld, _ func()) {
		w.set(func(w *fakeWorld) { w.drainErr = errDown })
		if err := w.owner.SetDraining(w.t.Context(), true); fault.KindOf(err) != fault.Unavailable {
			w.t.Errorf("SetDraining: %v", err)
		}
		w.expectDraining("not told", false)
		close(w.member().lost)
		pass(time.Second)
		w.expectDraining("joined anew", true)
	})
}

func TestStopHandsOverBatchByBatch(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *fakeWorld, stop func()) {
		one, two := w.add("249"), w.add("402")
		w.want(1, 10, one, two)
		pass(time.Second)
		w.set(func(w *fakeWorld) { w.relief = true })
		took := w.stopping(stop)
		pass(time.Second)
		w.expectDraining("stopping", true)
		w.expect("before the leader acts", 2)
		w.move(2, 10, []uint32{two}, []uint32{one})
		pass(time.Second)
		w.expect("after the first batch", 1)
		w.expectReport("after the first batch", 2, 1)
		w.move(3, 10, nil, []uint32{two})
		pass(time.Second)
		w.expect("after the second batch", 0)
		w.expectReport("after the second batch", 3, 0)
		if _, ended := took(); ended || w.member().left {
			w.t.Error("left before the last batch was taken")
		}
		w.move(4, 10, nil, nil)
		pass(time.Millisecond)
		if _, ended := took(); !ended || !w.member().left || w.dropped != 0 || w.drained != 2 {
			w.t.Errorf("ended %v, left %v, %d dropped, %d drained", ended, w.member().left, w.dropped, w.drained)
		}
	})
}

// Each case is a stop of a worker with one mailbox that nobody takes over.
func TestStopWithoutAHandOverIsBounded(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(w *fakeWorld)
		after  func(w *fakeWorld, number uint32)
		atMost time.Duration
	}{
		"alone":                   {func(*fakeWorld) {}, nil, 0},
		"a leader that is silent": {func(w *fakeWorld) { w.relief = true }, nil, 2 * time.Second},
		"etcd that takes no word": {func(w *fakeWorld) { w.relief, w.drainErr = true, errDown }, nil, 0},
		"a request that hangs":    {func(w *fakeWorld) { w.drainTakes = time.Hour }, nil, 10 * time.Second},
		"a batch that hangs": {
			func(w *fakeWorld) { w.relief, w.drainTakes = true, time.Hour },
			func(w *fakeWorld, number uint32) { w.move(2, 10, nil, []uint32{number}) },
			10 * time.Second,
		},
		"nobody takes what was released": {
			func(w *fakeWorld) { w.relief = true },
			func(w *fakeWorld, number uint32) { w.move(2, 10, nil, []uint32{number}) },
			4 * time.Second,
		},
		"a lost membership": {
			func(w *fakeWorld) { w.relief = true },
			func(w *fakeWorld, _ uint32) { close(w.member().lost) },
			time.Second,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, func(w *fakeWorld, stop func()) {
				number := w.add("249")
				w.want(1, 10, number)
				pass(time.Second)
				w.set(c.change)
				took := w.stopping(stop)
				pass(time.Millisecond)
				if c.after != nil {
					c.after(w, number)
				}
				pass(time.Minute)
				if d, ended := took(); !ended || d > c.atMost {
					w.t.Errorf("took %v, ended %v; want at most %v", d, ended, c.atMost)
				}
				if listening, _ := w.runs(); listening != 0 || !w.member().left {
					w.t.Errorf("%d listeners run on, left %v", listening, w.member().left)
				}
			})
		})
	}
}
