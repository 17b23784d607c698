// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package assign_test

import (
	"math/rand/v2"
	"slices"

	"pgregory.net/rapid"

	"mailpush.internal/services/scheduler/internal/assign"
)

// fleet is a balancing problem.
type fleet struct {
	workers []assign.Candidate
	units   []assign.Unit
}

func drawFleet(t *rapid.T) fleet {
	var f fleet
	alike := rapid.Bool().Draw(t, "alike")
	for range rapid.IntRange(1, 12).Draw(t, "workers") {
		worker := any1()
		if !alike {
			worker.Capacity = rapid.Uint32Range(0, 9).Draw(t, "capacity")
			worker.Damped = rapid.IntRange(0, 9).Draw(t, "damped") == 0
			worker.Most = rapid.SampledFrom([]uint64{0, 5, 50, 500}).Draw(t, "most")
			worker.Busy = rapid.SampledFrom([]uint64{0, 0, 3, 100}).Draw(t, "busy")
			worker.Can = []bool{rapid.Bool().Draw(t, "can 0"), rapid.Bool().Draw(t, "can 1")}
			worker.Accepts = rapid.IntRange(0, 9).Draw(t, "draining") > 0
		}
		f.workers = append(f.workers, worker)
	}
	heaviest := rapid.SampledFrom([]uint64{1, 3, 100}).Draw(t, "heaviest")
	for range rapid.IntRange(0, 120).Draw(t, "units") {
		weight := rapid.Uint64Range(1, heaviest).Draw(t, "weight")
		f.units = append(f.units, assign.Unit{
			Weight: weight,
			Size:   weight - 1,
			Class:  rapid.IntRange(0, 1).Draw(t, "class"),
			Owner:  rapid.IntRange(assign.None, len(f.workers)-1).Draw(t, "owner"),
		})
	}
	return f
}

// listenersFleet is a million listeners in 16,384 shards.
func listenersFleet(workers int) fleet {
	random := rand.New(rand.NewPCG(1, 2))
	weights := make([]uint64, 16384)
	for range 1_000_000 {
		weights[random.IntN(len(weights))]++
	}
	return fleet{slices.Repeat([]assign.Candidate{any1()}, workers), units(assign.None, weights...)}
}

// own makes owners the present ones.
func (f fleet) own(owners []int) fleet {
	f.units = slices.Clone(f.units)
	for u, owner := range owners {
		f.units[u].Owner = owner
	}
	return f
}

func (f fleet) orphaned() fleet { return f.own(slices.Repeat([]int{assign.None}, len(f.units))) }

// alike makes all workers equal, capable of everything and without a most.
func (f fleet) alike() fleet {
	f.workers = slices.Repeat([]assign.Candidate{any1()}, len(f.workers))
	return f
}

// limitless keeps the workers' capacities only.
func (f fleet) limitless() fleet {
	f.workers = slices.Clone(f.workers)
	for i, worker := range f.workers {
		f.workers[i] = any1()
		f.workers[i].Capacity, f.workers[i].Damped = worker.Capacity, worker.Damped
	}
	return f
}

func (f fleet) balance() []int { return assign.Balance(f.workers, f.units) }

// settled balances until nothing moves.
func (f fleet) settled(t *rapid.T) fleet {
	for range 2*len(f.units) + 2 {
		next := f.own(f.balance())
		if slices.Equal(next.units, f.units) {
			return f
		}
		f = next
	}
	t.Fatal("balancing has no end")
	return f
}

func (f fleet) moves(owners []int) int {
	moves := 0
	for u, unit := range f.units {
		if unit.Owner != owners[u] {
			moves++
		}
	}
	return moves
}

// loads returns the weight each worker has.
func (f fleet) loads() []float64 {
	loads := make([]float64, len(f.workers))
	for _, unit := range f.units {
		if unit.Owner != assign.None {
			loads[unit.Owner] += float64(unit.Weight)
		}
	}
	return loads
}

// imbalance is the greatest load over the mean load.
func (f fleet) imbalance() float64 {
	loads, total := f.loads(), 0.0
	for _, load := range loads {
		total += load
	}
	return slices.Max(loads) * float64(len(loads)) / total
}

// hasGiants tells whether a unit is heavier than all a worker should have.
func (f fleet) hasGiants() bool {
	var total, heaviest uint64
	for _, unit := range f.units {
		total, heaviest = total+unit.Weight, max(heaviest, unit.Weight)
	}
	return heaviest*uint64(len(f.workers)) > total
}

// run returns the size that each worker runs for a while when owners are to come:
// what it has and is told to let go of, and what it is given.
func (f fleet) run(owners []int) []uint64 {
	out := make([]uint64, len(f.workers))
	for i, worker := range f.workers {
		out[i] = worker.Busy
	}
	for u, unit := range f.units {
		if unit.Owner != assign.None {
			out[unit.Owner] += unit.Size
		}
		if owners[u] != assign.None && owners[u] != unit.Owner {
			out[owners[u]] += unit.Size
		}
	}
	return out
}
