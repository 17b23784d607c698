// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package assign_test

import (
	"testing"
	"time"

	clusterv1 "mailpush.internal/proto/gen/mailpush/cluster/v1"
	"mailpush.internal/services/scheduler/internal/assign"
)

func at(address string, draining bool) *clusterv1.Worker {
	return &clusterv1.Worker{Address: address, Draining: draining}
}

func TestFlaps(t *testing.T) {
	t.Parallel()
	start := time.Unix(0, 0)
	var flaps assign.Flaps
	for i, look := range []struct {
		after   time.Duration
		what    string
		entries []assign.Entry
		want    []int
	}{
		{0, "both are new", []assign.Entry{{ID: "1", Worker: at("a", false)}, {ID: "2", Worker: at("b", false)}}, []int{0, 0}},
		{time.Minute, "one is gone, its records are there", []assign.Entry{{ID: "1"}, {ID: "2", Worker: at("b", false)}}, []int{0, 0}},
		{time.Minute, "and back under another id", []assign.Entry{{ID: "2", Worker: at("b", false)}, {ID: "3", Worker: at("a", false)}}, []int{0, 1}},
		{0, "replaced between two looks", []assign.Entry{{ID: "2", Worker: at("b", false)}, {ID: "4", Worker: at("a", false)}}, []int{0, 2}},
		{time.Minute, "the other drains", []assign.Entry{{ID: "2", Worker: at("b", true)}, {ID: "4", Worker: at("a", false)}}, []int{0, 2}},
		{time.Minute, "and leaves, and comes again", []assign.Entry{{ID: "4", Worker: at("a", false)}, {ID: "5", Worker: at("b", false)}}, []int{2, 0}},
		{3 * time.Minute, "the first loss is long ago", []assign.Entry{{ID: "4", Worker: at("a", false)}, {ID: "5", Worker: at("b", false)}}, []int{1, 0}},
		{9 * time.Minute, "and both are", []assign.Entry{{ID: "4", Worker: at("a", false)}, {ID: "5", Worker: at("b", false)}}, []int{0, 0}},
	} {
		start = start.Add(look.after)
		flaps.Observe(look.entries, start)
		for j, entry := range look.entries {
			if entry.Losses != look.want[j] {
				t.Errorf("look %d, %s: %s has lost %d leases, want %d", i, look.what, entry.ID, entry.Losses, look.want[j])
			}
		}
	}
}

func TestWhoDrainedHasNotVanished(t *testing.T) {
	t.Parallel()
	now := time.Unix(0, 0)
	var flaps assign.Flaps
	flaps.Observe([]assign.Entry{{ID: "1", Worker: at("a", false)}, {ID: "2", Worker: at("b", true)}, {ID: "3", Worker: at("c", true)}}, now)
	flaps.Observe([]assign.Entry{{ID: "1", Worker: at("a", false)}, {ID: "3"}}, now)
	if got := flaps.Vanished(now); got != 0 {
		t.Errorf("%d have vanished", got)
	}
}

// The old leader may have been in the same rack.
func TestNewLeaderMissesThoseWhoseShardsNobodyHas(t *testing.T) {
	t.Parallel()
	now := time.Unix(0, 0)
	var flaps assign.Flaps
	gone := []assign.Entry{
		{ID: "1", Want: &clusterv1.Want{Granted: set(5, 0)}},
		{ID: "2", Want: &clusterv1.Want{}},                                            // drained
		{ID: "4", Want: &clusterv1.Want{Granted: set(5, 2)}, Have: &clusterv1.Have{}}, // stopped in order, with the leader
		{ID: "3", Worker: at("c", false), Want: &clusterv1.Want{Granted: set(5, 1)}},
	}
	for range 2 {
		flaps.Observe(gone, now)
		if got := flaps.Vanished(now); got != 1 {
			t.Errorf("%d have vanished, want 1", got)
		}
		now = now.Add(time.Second)
		flaps.Observe(gone, now)
		if got := flaps.Vanished(now); got != 0 {
			t.Errorf("%d have vanished by then, want none", got)
		}
		flaps = assign.Flaps{}
	}
}
