// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package assign_test

import (
	"fmt"
	"testing"

	"mailpush.internal/pkg/shard"

	clusterv1 "mailpush.internal/proto/gen/mailpush/cluster/v1"
	"mailpush.internal/services/scheduler/internal/assign"
)

// largeFleet is a million listeners on a thousand workers.
func largeFleet(placed bool) fleet {
	f := listenersFleet(1000)
	if placed {
		f = f.own(f.balance())
	}
	return f
}

func BenchmarkBalance(b *testing.B) {
	joined, left := largeFleet(true), largeFleet(true)
	joined.workers = append(joined.workers, any1())
	left.workers[500].Accepts = false
	for name, f := range map[string]fleet{"from scratch": largeFleet(false), "nothing to do": largeFleet(true), "join": joined, "leave": left} {
		b.Run(name, func(b *testing.B) {
			var owners []int
			for b.Loop() {
				owners = f.balance()
			}
			b.ReportMetric(float64(f.moves(owners)), "moves")
			b.ReportMetric(f.own(owners).imbalance(), "max/mean")
		})
	}
}

func BenchmarkStep(b *testing.B) {
	f := largeFleet(false)
	in := assign.Input{Revision: 10, Shards: 16384, Loads: assign.Loads{Listeners: make(map[shard.ID]uint32)}}
	for u, unit := range f.units {
		in.Loads.Listeners[shard.ID{Backend: "imapidle", Number: uint32(u)}] = uint32(unit.Weight)
	}
	for i := range 1000 {
		id := fmt.Sprintf("w%04d", i)
		in.Entries = append(in.Entries, assign.Entry{ID: id, Worker: &clusterv1.Worker{Id: id, Backends: []string{"imapidle"}}})
	}
	b.Run("from scratch", func(b *testing.B) {
		for b.Loop() {
			assign.Step(in)
		}
	})
	for _, update := range assign.Step(in).Updates {
		for i, entry := range in.Entries {
			if want := update.Put[entry.ID]; want != nil {
				in.Entries[i].Want = want
				in.Entries[i].Have = &clusterv1.Have{Generation: want.GetGeneration(), Held: want.GetGranted()}
			}
		}
	}
	b.Run("nothing to do", func(b *testing.B) {
		for b.Loop() {
			assign.Step(in)
		}
	})
	in.Entries[500].Worker = nil
	b.Run("crash", func(b *testing.B) {
		for b.Loop() {
			assign.Step(in)
		}
	})
}
