// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package assign_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	clusterv1 "mailpush.internal/proto/gen/mailpush/cluster/v1"
	"mailpush.internal/services/scheduler/internal/assign"
)

// largeFleet is a million listeners in 16,384 shards on a thousand workers.
func largeFleet(placed bool) fleet {
	random := rand.New(rand.NewPCG(1, 2))
	var f fleet
	for range 1000 {
		f.workers = append(f.workers, any1())
	}
	weights := make([]uint64, 16384)
	for range 1_000_000 {
		weights[random.IntN(len(weights))]++
	}
	f.units = units(assign.None, weights...)
	if placed {
		f = f.own(f.balance())
	}
	return f
}

func (f fleet) imbalance() float64 {
	load, total := make([]float64, len(f.workers)), 0.0
	most := 0.0
	for _, unit := range f.units {
		load[unit.Owner] += float64(unit.Weight)
		total += float64(unit.Weight)
		most = max(most, load[unit.Owner])
	}
	return most * float64(len(load)) / total
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
	in := assign.Input{Revision: 10, Shards: 16384, Loads: assign.Loads{Listeners: make(map[assign.Shard]uint32)}}
	for u, unit := range f.units {
		in.Loads.Listeners[assign.Shard{Backend: "imapidle", Number: uint32(u)}] = uint32(unit.Weight)
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
