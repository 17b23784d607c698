// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package assign_test

import (
	"fmt"
	"slices"
	"testing"

	"mailpush.internal/pkg/shard"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	clusterv1 "mailpush.internal/proto/gen/mailpush/cluster/v1"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/scheduler/internal/assign"
)

func set(epoch uint64, numbers ...uint32) []*mailv1.ShardSet {
	return []*mailv1.ShardSet{{Backend: "imapidle", Shards: numbers, Epochs: slices.Repeat([]uint64{epoch}, len(numbers))}}
}

func settled(t *testing.T, s *fakeStore) {
	t.Helper()
	if !s.settle() {
		t.Fatal("scheduling has no end")
	}
}

func running(s *fakeStore) string {
	out := ""
	for _, w := range s.workers {
		out += fmt.Sprintf("%s:%d ", w.id, len(w.running))
	}
	return out
}

func TestFirstWorkerGetsEverythingAtOnce(t *testing.T) {
	t.Parallel()
	s := newStore()
	s.join(10, "imapidle")
	want := assign.Plan{
		Granted: shards,
		Updates: []assign.Update{{
			Put:   map[string]*clusterv1.Want{"w0": {Generation: 1, Granted: set(2, 0, 1, 2, 3, 4, 5)}},
			Alive: []string{"w0"},
		}},
	}
	if diff := cmp.Diff(want, s.pass(), protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
}

func TestShardPassesOnInThreeSteps(t *testing.T) {
	t.Parallel()
	s := newStore()
	old := s.join(10, "imapidle")
	settled(t, s)
	joined := s.join(10, "imapidle")

	plan := s.pass()
	if plan.Revoked != 3 || plan.Granted != 0 {
		t.Fatalf("after a join: %d revoked, %d granted, want 3 and 0", plan.Revoked, plan.Granted)
	}
	if plan := s.pass(); len(plan.Updates) != 0 || plan.Settling != 3 {
		t.Fatalf("before the acknowledgement: %+v, want to wait for 3", plan)
	}
	s.read(old)
	s.report(old)
	if plan := s.pass(); len(plan.Updates) != 0 {
		t.Fatalf("after a report of the old generation: %+v", plan)
	}
	old.apply()
	s.report(old)
	plan = s.pass()
	if plan.Revoked != 0 || plan.Granted != 3 {
		t.Fatalf("after the acknowledgement: %d revoked, %d granted, want 0 and 3", plan.Revoked, plan.Granted)
	}
	update := plan.Updates[0]
	if diff := cmp.Diff([][]string{{joined.id}, {old.id}}, [][]string{update.Alive, update.Unmoved}); diff != "" {
		t.Error(diff)
	}
	if left := update.Put[old.id].GetRevoked(); len(left) != 0 {
		t.Errorf("the revoke list still has %v", left)
	}
}

// Grant to A at generation 5, revoke at 6 before A applied 5, A's report still at 4:
// a grant to C now would let A wake up and replay 5.
func TestRevokedBeforeItWasApplied(t *testing.T) {
	t.Parallel()
	entries := []assign.Entry{
		{
			ID:     "a",
			Worker: &clusterv1.Worker{Id: "a", Backends: []string{"imapidle"}, Draining: true},
			Want:   &clusterv1.Want{Generation: 6, Revoked: []*clusterv1.Revocation{{Generation: 6, Shards: set(50, 0)[0]}}},
			Have:   &clusterv1.Have{Generation: 4},
		},
		{ID: "c", Worker: &clusterv1.Worker{Id: "c", Backends: []string{"imapidle"}}},
	}
	in := assign.Input{Revision: 60, Shards: 1, Entries: entries}
	for _, applied := range []uint64{4, 5} {
		entries[0].Have.Generation = applied
		if plan := assign.Step(in); len(plan.Updates) != 0 {
			t.Fatalf("at generation %d: %+v, want to wait", applied, plan)
		}
	}
	entries[0].Have = &clusterv1.Have{Generation: 6, Held: set(50, 0)}
	if plan := assign.Step(in); len(plan.Updates) != 0 {
		t.Fatalf("at generation 6 and still held: %+v, want to wait", plan)
	}
	entries[0].Have.Held = nil
	if plan := assign.Step(in); plan.Granted != 1 {
		t.Fatalf("at generation 6: %+v, want the grant", plan)
	}
}

func TestLeaversShardsAreGrantedAtOnceAndItsRecordsRemoved(t *testing.T) {
	t.Parallel()
	s := newStore()
	for range 3 {
		s.join(10, "imapidle")
	}
	settled(t, s)
	s.crash(s.workers[1])
	plan := s.pass()
	if plan.Granted != 2 || plan.Revoked != 0 {
		t.Errorf("%d granted and %d revoked, want the leaver's 2 and 0", plan.Granted, plan.Revoked)
	}
	last := plan.Updates[len(plan.Updates)-1]
	if diff := cmp.Diff(assign.Update{Remove: []string{"w1"}}, last); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"w1"}, plan.Updates[0].Gone); diff != "" {
		t.Error(diff)
	}
}

func TestDrainHandsOverAndTheLastOneKeeps(t *testing.T) {
	t.Parallel()
	s := newStore()
	first := s.join(10, "imapidle")
	settled(t, s)
	s.drain(first)
	settled(t, s)
	if got := running(s); got != "w0:6 " {
		t.Errorf("draining alone: %s", got)
	}
	s.join(10, "imapidle")
	settled(t, s)
	if got := running(s); got != "w0:0 w1:6 " {
		t.Errorf("draining with another there: %s", got)
	}
}

// A listener is dark while its shard is handed over, so not all shards are at a time.
func TestLargeWorkerIsRelievedInBatches(t *testing.T) {
	t.Parallel()
	const batch, many = 128, 300
	numbers := make([]uint32, many)
	for i := range numbers {
		numbers[i] = uint32(i)
	}
	in := assign.Input{Revision: 60, Shards: many, Entries: []assign.Entry{
		{
			ID:     "a",
			Worker: &clusterv1.Worker{Id: "a", Backends: []string{"imapidle"}, Draining: true},
			Want:   &clusterv1.Want{Generation: 6, Granted: set(50, numbers...)},
			Have:   &clusterv1.Have{Generation: 6, Held: set(50, numbers...)},
		},
		{ID: "b", Worker: &clusterv1.Worker{Id: "b", Backends: []string{"imapidle"}}},
	}}
	plan := assign.Step(in)
	if plan.Revoked != batch {
		t.Fatalf("%d revoked, want %d", plan.Revoked, batch)
	}
	in.Entries[0].Want = plan.Updates[0].Put["a"]
	if plan := assign.Step(in); plan.Revoked != 0 {
		t.Errorf("%d more revoked before the acknowledgement", plan.Revoked)
	}
	in.Entries[0].Have = &clusterv1.Have{Generation: 7, Held: in.Entries[0].Want.GetGranted()}
	if plan := assign.Step(in); plan.Granted != batch || plan.Revoked != batch {
		t.Errorf("%d granted and %d revoked after it, want a batch of each", plan.Granted, plan.Revoked)
	}
}

// What is let go of for lack of room stays on the revoke list, and is in no transit.
func TestWorkerLetsGoOfMoreThanABatch(t *testing.T) {
	t.Parallel()
	const many, capacity = 300, 100
	in := assign.Input{Revision: 60, Shards: many, Loads: assign.Loads{Listeners: make(map[shard.ID]uint32)}}
	numbers := make([]uint32, many)
	for i := range numbers {
		numbers[i] = uint32(i)
		in.Loads.Listeners[shard.ID{Backend: "imapidle", Number: numbers[i]}] = 1
	}
	in.Entries = []assign.Entry{{
		ID:     "a",
		Worker: &clusterv1.Worker{Id: "a", Backends: []string{"imapidle"}, Capacity: capacity},
		Want:   &clusterv1.Want{Generation: 6, Granted: set(50, numbers...)},
		Have:   &clusterv1.Have{Generation: 6, Held: set(50, numbers...)},
	}}
	for range 2 {
		for _, update := range assign.Step(in).Updates {
			want := update.Put["a"]
			in.Entries[0].Want = want
			in.Entries[0].Have = &clusterv1.Have{Generation: want.GetGeneration(), Held: want.GetGranted()}
		}
	}
	if got := len(members(in.Entries[0].Want.GetGranted())); got != capacity {
		t.Errorf("%d are left, want %d", got, capacity)
	}
}

func TestNoCapableWorkerIsAnAlarm(t *testing.T) {
	t.Parallel()
	s := newStore()
	s.loads.Listeners = map[shard.ID]uint32{{Backend: "dovecot", Number: 3}: 1}
	s.join(10, "imapidle")
	if got := s.pass().Unassigned; got != shards {
		t.Errorf("%d unassigned, want all %d shards of the backend nobody runs", got, shards)
	}
	s.crash(s.workers[0])
	if got := s.pass().Unassigned; got != 2*shards {
		t.Errorf("%d unassigned, want all shards of both", got)
	}
}

func TestEpochsAreAboveAllThatWasEverOpened(t *testing.T) {
	t.Parallel()
	s := newStore()
	s.loads.MaxEpoch = 900
	s.join(10, "imapidle")
	settled(t, s)
	if diff := cmp.Diff(set(901, 0, 1, 2, 3, 4, 5), s.entry("w0").Want.GetGranted(), protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	s.crash(s.workers[0])
	s.join(10, "imapidle")
	settled(t, s)
	// The registry has not seen 901 yet, and the store is far below.
	if diff := cmp.Diff(set(902, 0, 1, 2, 3, 4, 5), s.entry("w1").Want.GetGranted(), protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
}

func TestGrantRefusedByTheRegistryIsRenewed(t *testing.T) {
	t.Parallel()
	s := newStore()
	w := s.join(10, "imapidle")
	s.pass()
	s.read(w)
	w.apply()
	delete(w.running, shard.ID{Backend: "imapidle", Number: 4})
	s.report(w)
	s.loads.MaxEpoch = 500
	in := s.snapshot().input
	if plan := assign.Step(in); len(plan.Updates) != 0 {
		t.Errorf("without being asked to: %+v", plan)
	}
	in.Retry = true
	plan := assign.Step(in)
	if plan.Granted != 1 {
		t.Fatalf("%d granted, want the one that is not run", plan.Granted)
	}
	if got := members(plan.Updates[0].Put["w0"].GetGranted())[shard.ID{Backend: "imapidle", Number: 4}]; got != 501 {
		t.Errorf("epoch %d, want one above all the registry knows", got)
	}
}

func TestStrayHoldIsRevokedFirst(t *testing.T) {
	t.Parallel()
	s := newStore()
	w := s.join(10, "imapidle")
	settled(t, s)
	s.entry(w.id).Want = nil // somebody deleted the key
	plan := s.pass()
	if plan.Granted != 0 || plan.Revoked != shards {
		t.Errorf("%d granted, %d revoked, want 0 and all", plan.Granted, plan.Revoked)
	}
	if got := s.entry(w.id).Want.GetGeneration(); got != 2 {
		t.Errorf("the new plan has generation %d, which its worker would take for an old one", got)
	}
	settled(t, s)
	if got := running(s); got != "w0:6 " {
		t.Errorf("in the end: %s", got)
	}
}

// fits counts what package cluster makes of an update: etcd takes no more at once.
func fits(t *testing.T, update assign.Update) {
	t.Helper()
	const most = 128
	compares := 2 + len(update.Put) + len(update.Alive) + len(update.Gone) + len(update.Unmoved) + 3*len(update.Remove)
	writes := 1 + len(update.Put) + 2*len(update.Remove)
	if compares > most || writes > most {
		t.Fatalf("%d comparisons and %d writes", compares, writes)
	}
}

func TestUpdatesFitIntoTransactions(t *testing.T) {
	t.Parallel()
	const workers = 300
	in := assign.Input{Revision: 10, Shards: 1024}
	for i := range workers {
		id := fmt.Sprintf("w%03d", i)
		in.Entries = append(in.Entries, assign.Entry{ID: id, Worker: &clusterv1.Worker{Id: id, Backends: []string{"imapidle"}}})
	}
	check := func() {
		t.Helper()
		for _, update := range assign.Step(in).Updates {
			fits(t, update)
			for i, entry := range in.Entries {
				if want := update.Put[entry.ID]; want != nil {
					in.Entries[i].Want = want
				}
			}
		}
	}
	check()
	// All report, then half of them crash at once and the rest must take over.
	for i := range in.Entries {
		in.Entries[i].Have = &clusterv1.Have{Generation: in.Entries[i].Want.GetGeneration(), Held: in.Entries[i].Want.GetGranted()}
		if i%2 == 0 {
			in.Entries[i].Worker = nil
		}
	}
	check()
}

// Many have held one shard and are gone, and each had another that fits nowhere.
func TestShardWithManyGoneHoldersIsGranted(t *testing.T) {
	t.Parallel()
	const gone = 300
	in := assign.Input{Revision: 1000, Shards: gone + 1, Loads: assign.Loads{Listeners: make(map[shard.ID]uint32)}}
	for i := range uint32(gone) {
		in.Loads.Listeners[shard.ID{Backend: "imapidle", Number: i + 1}] = 50
		in.Entries = append(in.Entries, assign.Entry{
			ID:   fmt.Sprintf("a%03d", i),
			Want: &clusterv1.Want{Generation: 1, Granted: set(uint64(i)+1, 0, i+1)},
		})
	}
	in.Entries = append(in.Entries, assign.Entry{ID: "b", Worker: &clusterv1.Worker{Id: "b", Backends: []string{"imapidle"}, Capacity: 10}})
	plan := assign.Step(in)
	if plan.Granted != 1 || plan.Unassigned != gone {
		t.Fatalf("%d granted, %d unassigned, want the one that fits and %d", plan.Granted, plan.Unassigned, gone)
	}
	removed := 0
	for _, update := range plan.Updates {
		fits(t, update)
		removed += len(update.Remove)
	}
	if diff := cmp.Diff([]string{"a299"}, plan.Updates[0].Gone); diff != "" {
		t.Errorf("the grant does not depend on the last holder alone: %s", diff)
	}
	if removed != gone {
		t.Errorf("%d of %d records were removed", removed, gone)
	}
}

// A worker that is built for half of what there is crashes again and again, and gets
// another half each time. Nobody may have to delete keys by hand.
func TestRecordsOfAWorkerThatCrashesAgainAndAgainDoNotPileUp(t *testing.T) {
	t.Parallel()
	s := newStore()
	s.loads.MaxEpoch = 1 << 40 // from before a restore: revisions are no help
	for round := range 200 {
		s.loads.Listeners = make(map[shard.ID]uint32)
		for number := range uint32(shards) {
			s.loads.Listeners[shard.ID{Backend: "imapidle", Number: number}] = 10 + (number+uint32(round))%shards
		}
		w := s.join(40, "imapidle")
		for _, update := range s.pass().Updates {
			fits(t, update)
		}
		for shard, epoch := range members(s.entry(w.id).Want.GetGranted()) {
			if epoch <= s.epochs[shard] {
				t.Fatalf("round %d: %v is granted with epoch %d after %d", round, shard, epoch, s.epochs[shard])
			}
			s.epochs[shard] = epoch
		}
		s.crash(w)
		s.pass()
		if len(s.entries) > 1 {
			t.Fatalf("round %d: there are %d records, want the last one", round, len(s.entries))
		}
	}
}
