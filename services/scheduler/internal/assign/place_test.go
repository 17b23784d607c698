// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package assign_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"mailpush.internal/pkg/shard"
	clusterv1 "mailpush.internal/proto/gen/mailpush/cluster/v1"
	"mailpush.internal/services/scheduler/internal/assign"
)

func TestPlace(t *testing.T) {
	t.Parallel()
	zero := shard.ID{Backend: "imapidle"}
	worker := func(capacity uint32, draining bool) *clusterv1.Worker {
		return &clusterv1.Worker{Backends: []string{"imapidle"}, Capacity: capacity, Draining: draining}
	}
	granted := func(generation uint64, epoch uint64) *clusterv1.Want {
		return &clusterv1.Want{Generation: generation, Granted: set(epoch, 0)}
	}
	revoked := &clusterv1.Want{Generation: 2, Revoked: []*clusterv1.Revocation{{Generation: 2, Shards: set(5, 0)[0]}}}
	held := func(generation uint64) *clusterv1.Have {
		return &clusterv1.Have{Generation: generation, Held: set(5, 0)}
	}
	tests := map[string]struct {
		entries []assign.Entry
		want    assign.Placement
	}{
		"nobody lives":  {nil, assign.Placement{}},
		"nobody can":    {[]assign.Entry{{ID: "a", Worker: &clusterv1.Worker{Backends: []string{"dovecot"}, Capacity: 9}}}, assign.Placement{}},
		"to be granted": {[]assign.Entry{{ID: "a", Worker: worker(9, false)}}, assign.Placement{Capable: true}},
		"granted, not taken over": {[]assign.Entry{{ID: "a", Worker: worker(9, false), Want: granted(1, 5)}},
			assign.Placement{Granted: "a", Capable: true}},
		"held": {[]assign.Entry{{ID: "a", Worker: worker(9, false), Want: granted(1, 5), Have: held(1)}},
			assign.Placement{Holder: "a", Granted: "a", Capable: true}},
		"passes on": {[]assign.Entry{{ID: "a", Worker: worker(9, true), Want: revoked, Have: held(1)}, {ID: "b", Worker: worker(9, false)}},
			assign.Placement{Holder: "a", Releasing: []string{"a"}, Capable: true}},
		"let go of": {[]assign.Entry{{ID: "a", Worker: worker(9, true), Want: revoked, Have: &clusterv1.Have{Generation: 2}}, {ID: "b", Worker: worker(9, false)}},
			assign.Placement{Capable: true}},
		"all are full":    {[]assign.Entry{{ID: "a", Worker: worker(2, false)}}, assign.Placement{Capable: true, NoRoom: true}},
		"all are drained": {[]assign.Entry{{ID: "a", Worker: worker(9, true)}}, assign.Placement{}},
		"of the dead": {[]assign.Entry{{ID: "a", Want: granted(1, 5), Have: held(1)}, {ID: "b", Worker: worker(9, false)}},
			assign.Placement{Capable: true}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := assign.Input{Revision: 9, Shards: 2, Entries: tt.entries, Loads: assign.Loads{Listeners: map[shard.ID]uint32{zero: 3}}}
			if diff := cmp.Diff(tt.want, assign.Place(in, zero)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	in := assign.Input{Shards: 2, Entries: []assign.Entry{{ID: "a", Worker: worker(9, false)}}}
	for _, of := range []shard.ID{{Backend: "imapidle", Number: 2}, {Backend: "none"}, {}} {
		if got := assign.Place(in, of); !cmp.Equal(got, assign.Placement{}) {
			t.Errorf("%v, which there is not, is at %+v", of, got)
		}
	}
}
