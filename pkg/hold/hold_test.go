// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package hold_test

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"mailpush.internal/pkg/hold"
	clusterv1 "mailpush.internal/proto/gen/mailpush/cluster/v1"
)

const backend = "imapidle"

func claim(shard uint32, epoch uint64) hold.Claim {
	return hold.Claim{Backend: backend, Shard: shard, Epoch: epoch}
}

func want(generation uint64, granted ...hold.Claim) hold.Wanted {
	return hold.Wanted{Want: &clusterv1.Want{Generation: generation, Granted: hold.Sets(granted)}}
}

func have(generation uint64, held ...hold.Claim) *clusterv1.Have {
	return &clusterv1.Have{Generation: generation, Held: hold.Sets(held)}
}

// worker is a machine under test, at a moment.
type worker struct {
	*testing.T

	machine *hold.Machine
	now     time.Time
}

func newWorker(t *testing.T) *worker {
	t.Helper()
	t.Parallel()
	return &worker{t, hold.New(rand.New(rand.NewPCG(1, 2))), time.Unix(0, 0)}
}

// step expects exactly these effects.
func (w *worker) step(event hold.Event, expected ...hold.Effect) {
	w.Helper()
	effects := w.machine.Step(event, w.now)
	if diff := cmp.Diff(expected, effects, protocmp.Transform()); diff != "" {
		w.Fatalf("%T: effects (-want +got):\n%s", event, diff)
	}
	w.expectPause()
}

// expectPause expects that nothing is due at once: that would be a loop that spins.
func (w *worker) expectPause() {
	w.Helper()
	if next := w.machine.Next(); !next.IsZero() && !next.After(w.now) {
		w.Fatalf("due %v ago, right after a step", w.now.Sub(next))
	}
}

func read(open bool, claims ...hold.Claim) hold.Read {
	return hold.Read{Backend: backend, Open: open, Claims: claims}
}

// holds brings a worker to where it holds the claims, and has said so.
func (w *worker) holds(generation uint64, claims ...hold.Claim) {
	w.Helper()
	w.step(want(generation, claims...), read(true, claims...))
	w.step(hold.Loaded{Read: read(true, claims...)},
		hold.Began{Claims: claims}, hold.Run{Claims: claims}, hold.Report{Have: have(generation, claims...)})
	w.step(hold.Reported{Have: have(generation, claims...)})
}

func TestHoldBeginsWhenTheEpochIsOpen(t *testing.T) {
	w := newWorker(t)
	w.step(want(1, claim(7, 10), claim(8, 10)), read(true, claim(7, 10), claim(8, 10)))
	w.step(hold.Loaded{Read: read(true, claim(7, 10), claim(8, 10)), Refused: []hold.Claim{claim(8, 10)}},
		hold.Began{Claims: []hold.Claim{claim(7, 10)}}, hold.Run{Claims: []hold.Claim{claim(7, 10)}},
		hold.Report{Have: have(1, claim(7, 10))})
	w.step(hold.Tick{}) // a report is in flight, and a refused epoch is not tried again
}

func TestOlderWantSaysNothing(t *testing.T) {
	w := newWorker(t)
	w.step(want(4), hold.Report{Have: have(4)})
	w.step(hold.Reported{Have: have(4)})
	// Granted at 5, revoked at 6 before 5 was seen; then 5 comes.
	w.step(want(6), hold.Report{Have: have(6)})
	w.step(hold.Reported{Have: have(6)})
	w.step(want(5, claim(7, 10)))
}

func TestRevocationIsAppliedWhenNothingRunsAnyMore(t *testing.T) {
	w := newWorker(t)
	w.holds(1, claim(7, 10))
	gone := []hold.Claim{claim(7, 10)}
	w.step(want(2), hold.Release{Claims: gone})
	w.step(want(2))
	w.step(hold.Drained{Claims: gone}, hold.Report{Have: have(2)}, hold.Ended{Claims: gone})
}

func TestGrantTakenBackWhileItIsReadNeverRuns(t *testing.T) {
	w := newWorker(t)
	w.step(want(1, claim(7, 10)), read(true, claim(7, 10)))
	w.step(want(2))
	w.step(hold.Loaded{Read: read(true, claim(7, 10))}, hold.Report{Have: have(2)})
}

func TestDoubtEndsTheHoldAndKeepsWhatRuns(t *testing.T) {
	w := newWorker(t)
	w.holds(1, claim(7, 10))
	held := []hold.Claim{claim(7, 10)}
	w.step(hold.Righted{Right: hold.InDoubt}, hold.Ended{Claims: held})
	if acting := w.machine.Acting(); !slices.Equal(acting, held) {
		t.Errorf("acting in doubt: %v", acting)
	}
	w.step(hold.Righted{Right: hold.Current}, hold.Began{Claims: held})
}

func TestNoHoldBeginsInDoubt(t *testing.T) {
	w := newWorker(t)
	w.step(want(1, claim(7, 10)), read(true, claim(7, 10)))
	w.step(hold.Righted{Right: hold.InDoubt})
	w.step(hold.Loaded{Read: read(true, claim(7, 10))}, hold.Report{Have: have(1)})
	w.step(want(2, claim(7, 10), claim(8, 11))) // no epoch is opened in doubt
	both := []hold.Claim{claim(7, 10), claim(8, 11)}
	w.step(hold.Righted{Right: hold.Current}, read(true, both...))
	w.step(hold.Reported{Have: have(1)})
	w.step(hold.Loaded{Read: read(true, both...)},
		hold.Began{Claims: both}, hold.Run{Claims: both}, hold.Report{Have: have(2, both...)})
}

func TestRefusedClaimIsCutAndComesBackWithAHigherEpochOnly(t *testing.T) {
	w := newWorker(t)
	w.holds(1, claim(7, 10))
	gone := []hold.Claim{claim(7, 10)}
	w.step(hold.Refused{Claims: gone}, hold.Cut{Claims: gone}, hold.Report{Have: have(1)}, hold.Ended{Claims: gone})
	w.step(want(2, claim(7, 10)))
	w.step(hold.Reported{Have: have(1)}, hold.Report{Have: have(2)})
	w.step(want(3, claim(7, 11)), read(true, claim(7, 11)))
}

func TestShardsThatFailTogetherAreTriedInSmallerGroups(t *testing.T) {
	w := newWorker(t)
	var claims []hold.Claim
	for n := range uint32(128) {
		claims = append(claims, claim(n, 10))
	}
	w.step(want(1, claims...), read(true, claims...))
	w.step(hold.Loaded{Read: read(true, claims...), Failed: true}, hold.Report{Have: have(1)})
	next := w.machine.Next()
	if !next.After(w.now) || next.After(w.now.Add(time.Second)) {
		t.Fatalf("next try at %v", next.Sub(w.now))
	}
	w.now = w.now.Add(time.Second)
	w.step(hold.Reported{Have: have(1)}, failedOnce(claims[:64]), failedOnce(claims[64:]))
}

// failedOnce is the second Read of shards.
func failedOnce(claims []hold.Claim) hold.Read {
	return hold.Read{Backend: backend, Open: true, Failures: 1, Claims: claims}
}

func TestWorkerWaitsForReadsInFlight(t *testing.T) {
	w := newWorker(t)
	var claims []hold.Claim
	for n := range uint32(16) {
		claims = append(claims, claim(n, 10))
	}
	pending := w.machine.Step(want(1, claims...), w.now)
	for range 20 { // ever smaller groups, and more of them than may be read at once
		w.now = w.now.Add(time.Minute)
		for _, effect := range slices.Clone(pending) {
			pending = pending[1:]
			if read, ok := effect.(hold.Read); ok {
				pending = append(pending, w.machine.Step(hold.Loaded{Read: read, Failed: true}, w.now)...)
				w.expectPause()
			}
		}
		pending = append(pending, w.machine.Step(hold.Tick{}, w.now)...)
		w.expectPause()
	}
}

func TestReportThatFailedIsMadeAgain(t *testing.T) {
	w := newWorker(t)
	w.step(want(1), hold.Report{Have: have(1)})
	w.step(hold.Reported{Have: have(1), Failed: true})
	w.now = w.machine.Next()
	w.step(hold.Tick{}, hold.Report{Have: have(1)})
	w.step(hold.Reported{Have: have(1), Failed: true})
	w.now = w.machine.Next()
	w.step(hold.Reported{Have: have(1)}) // one that was thought lost had arrived
}

// An etcd that takes no writes, for hours perhaps, is not flooded with reports.
func TestReportsThatFailInARowAreMadeMoreRarely(t *testing.T) {
	w := newWorker(t)
	w.step(want(1), hold.Report{Have: have(1)})
	pause := func() time.Duration {
		w.Helper()
		w.step(hold.Reported{Have: have(1), Failed: true})
		before := w.now
		w.now = w.machine.Next()
		w.step(hold.Tick{}, hold.Report{Have: have(1)})
		return w.now.Sub(before)
	}
	first := pause()
	for range 20 {
		pause()
	}
	if last := pause(); first > 200*time.Millisecond || last < 800*time.Millisecond || last > 1600*time.Millisecond {
		t.Errorf("the first pause is %v, the last %v", first, last)
	}
	w.step(hold.Reported{Have: have(1)})
	w.step(want(2), hold.Report{Have: have(2)})
	w.step(hold.Reported{Have: have(2), Failed: true})
	if again := w.machine.Next().Sub(w.now); again > 200*time.Millisecond {
		t.Errorf("after a report that was stored, the first pause is %v", again)
	}
}

func TestNothingIsHeldWhenTheRegistrationIsOver(t *testing.T) {
	w := newWorker(t)
	w.holds(1, claim(7, 10))
	if diff := cmp.Diff(have(1), w.machine.Farewell(), protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	w.step(hold.Over{}, hold.Ended{Claims: []hold.Claim{claim(7, 10)}})
	w.step(hold.Loaded{Read: read(false, claim(7, 10))}) // late
}

func TestSameEventsLeadToTheSameEffects(t *testing.T) {
	t.Parallel()
	var claims []hold.Claim
	for n := range uint32(600) {
		claims = append(claims, claim(n, 10))
	}
	run := func() (out []hold.Effect) {
		m := hold.New(rand.New(rand.NewPCG(3, 4)))
		now := time.Unix(0, 0)
		pending := []hold.Event{want(1, claims...), hold.Stale{}, want(2, claims[:10]...)}
		for len(pending) > 0 && len(out) < 1000 {
			effects := m.Step(pending[0], now)
			pending = pending[1:]
			for _, effect := range effects {
				if read, ok := effect.(hold.Read); ok {
					pending = append(pending, hold.Loaded{Read: read, Failed: len(read.Claims) > 100})
				}
			}
			out = append(out, effects...)
			now = now.Add(time.Second)
		}
		return out
	}
	if first, second := run(), run(); !reflect.DeepEqual(first, second) {
		t.Error("two runs differ")
	}
}

func TestFenceCountsFromTheSending(t *testing.T) {
	t.Parallel()
	var fence hold.Fence
	if !fence.Over(0) {
		t.Error("the zero fence is not over")
	}
	fence.Extend(10*time.Second, 5*time.Second)
	if fence.Over(14499*time.Millisecond) || !fence.Over(14500*time.Millisecond) {
		t.Errorf("until %v", fence.Until())
	}
	fence.Extend(9*time.Second, 5*time.Second) // an answer that comes late
	if fence.Until() != 14500*time.Millisecond {
		t.Errorf("went back to %v", fence.Until())
	}
}
