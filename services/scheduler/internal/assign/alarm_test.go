// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package assign_test

import (
	"testing"

	"mailpush.internal/pkg/shard"

	"github.com/google/go-cmp/cmp"

	clusterv1 "mailpush.internal/proto/gen/mailpush/cluster/v1"
	"mailpush.internal/services/scheduler/internal/assign"
)

// crowd is a store with workers that fill each other's capacity up to a part.
func crowd(t *testing.T, workers int, capacity uint32) *fakeStore {
	t.Helper()
	s := newStore()
	s.loads.Listeners = make(map[shard.ID]uint32)
	for number := range uint32(shards) {
		s.loads.Listeners[shard.ID{Backend: "imapidle", Number: number}] = 10
	}
	for range workers {
		s.join(capacity, "imapidle")
	}
	settled(t, s)
	return s
}

func TestMassLossFillsTheOthersAndNoFurther(t *testing.T) {
	t.Parallel()
	s := crowd(t, 6, 25)
	s.crash(s.workers[0])
	s.vanished = 1
	if got := s.pass().Alarms; len(got) > 0 {
		t.Errorf("one of six: alarms %q", got)
	}
	settled(t, s)
	s.crash(s.workers[1])
	s.crash(s.workers[2])
	s.crash(s.workers[3])
	s.vanished = 3
	plan := s.pass()
	if diff := cmp.Diff([]assign.Alarm{assign.NoRoom, assign.MassLoss}, plan.Alarms); diff != "" {
		t.Error(diff)
	}
	settled(t, s)
	if got := running(s); got != "w0:0 w1:0 w2:0 w3:0 w4:2 w5:2 " {
		t.Errorf("20 of 25 are full with shards of 10: %s", got)
	}
	s.vanished = 0 // of late
	if plan := s.pass(); plan.Unassigned != 2 || len(plan.Alarms) != 1 {
		t.Errorf("%d unassigned, alarms %q", plan.Unassigned, plan.Alarms)
	}
	s.join(25, "imapidle")
	settled(t, s)
	if plan := s.pass(); plan.Unassigned != 0 || len(plan.Alarms) != 0 {
		t.Errorf("with a newcomer: %d unassigned, alarms %q", plan.Unassigned, plan.Alarms)
	}
}

func TestWorkerThatOutgrewItsCapacityLetsGo(t *testing.T) {
	t.Parallel()
	s := crowd(t, 1, 60)
	s.loads.Listeners[shard.ID{Backend: "imapidle", Number: 4}]++
	plan := s.pass()
	if diff := cmp.Diff([]assign.Alarm{assign.NoRoom}, plan.Alarms); diff != "" {
		t.Error(diff)
	}
	settled(t, s)
	if got := running(s); got != "w0:5 " {
		t.Errorf("a worker for 60 with shards of 10 and one of 11: %s", got)
	}
	s.loads.Listeners[shard.ID{Backend: "imapidle", Number: 4}]--
	settled(t, s)
	if got := running(s); got != "w0:6 " {
		t.Errorf("with room again: %s", got)
	}
}

// What a worker has been told to let go of, and still runs, takes its room.
func TestGrantWaitsForRoom(t *testing.T) {
	t.Parallel()
	in := assign.Input{Revision: 60, Shards: 3, Loads: assign.Loads{Listeners: map[shard.ID]uint32{
		{Backend: "imapidle", Number: 0}: 10,
		{Backend: "imapidle", Number: 1}: 10,
		{Backend: "imapidle", Number: 2}: 11,
	}}}
	in.Entries = []assign.Entry{{
		ID:     "a",
		Worker: &clusterv1.Worker{Id: "a", Backends: []string{"imapidle"}, Capacity: 21},
		Want:   &clusterv1.Want{Generation: 6, Granted: set(50, 1), Revoked: []*clusterv1.Revocation{{Generation: 6, Shards: set(50, 0)[0]}}},
		Have:   &clusterv1.Have{Generation: 5, Held: set(50, 0, 1)},
	}}
	if plan := assign.Step(in); plan.Granted != 0 || plan.Unassigned != 2 {
		t.Errorf("before the acknowledgement: %+v, want to wait", plan)
	}
	in.Entries[0].Have = &clusterv1.Have{Generation: 6, Held: set(50, 1)}
	plan := assign.Step(in)
	if plan.Granted != 1 || plan.Unassigned != 1 {
		t.Fatalf("after it: %+v, want one grant", plan)
	}
	if diff := cmp.Diff(set(60, 2)[0].GetShards(), plan.Updates[0].Put["a"].GetGranted()[0].GetShards()[1:]); diff != "" {
		t.Error(diff)
	}
}

func TestOneThatFlapsComesBackAtATenth(t *testing.T) {
	t.Parallel()
	s := crowd(t, 3, 1000)
	in := s.snapshot().input
	for i := range in.Entries {
		in.Entries[i].Want, in.Entries[i].Have = nil, nil
	}
	in.Entries[1].Losses = 1
	in.Entries[2].Losses = 2
	put := assign.Step(in).Updates[0].Put
	count := func(id string) int { return len(members(put[id].GetGranted())) }
	if got := [...]int{count("w0"), count("w1"), count("w2")}; got != [...]int{3, 2, 1} && got != [...]int{3, 3, 0} {
		t.Errorf("shards of each: %v", got)
	}
}
