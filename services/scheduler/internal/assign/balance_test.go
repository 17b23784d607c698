// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package assign_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"mailpush.internal/services/scheduler/internal/assign"
)

func any1() assign.Candidate {
	return assign.Candidate{Capacity: 1, Can: []bool{true, true}, Accepts: true}
}

func units(owner int, weights ...uint64) []assign.Unit {
	out := make([]assign.Unit, len(weights))
	for i, weight := range weights {
		out[i] = assign.Unit{Weight: weight, Owner: owner}
	}
	return out
}

func TestBalance(t *testing.T) {
	t.Parallel()
	large, draining, first := any1(), any1(), any1()
	large.Capacity, draining.Accepts, first.Can = 3, false, []bool{true, false}
	for name, c := range map[string]struct {
		workers []assign.Candidate
		units   []assign.Unit
		want    []int
	}{
		"nobody":                       {nil, units(assign.None, 1, 1), []int{assign.None, assign.None}},
		"the heaviest first":           {[]assign.Candidate{any1(), any1()}, units(assign.None, 2, 2, 3, 5), []int{1, 0, 1, 0}},
		"by capacity":                  {[]assign.Candidate{any1(), large}, units(assign.None, 1, 1, 1, 1), []int{1, 0, 1, 1}},
		"what is kept stays":           {[]assign.Candidate{any1(), any1()}, append(units(1, 4, 4), units(assign.None, 1, 1)...), []int{1, 1, 0, 0}},
		"a newcomer is filled":         {[]assign.Candidate{any1(), any1()}, units(0, 1, 1, 1, 1, 1, 1), []int{1, 1, 1, 0, 0, 0}},
		"one worker's excess is shed":  {[]assign.Candidate{any1(), any1()}, append(units(0, 4, 4, 4, 4, 1, 1), units(1, 2, 2, 2, 2)...), []int{1, 0, 0, 0, 0, 0, 1, 1, 1, 1}},
		"within the band":              {[]assign.Candidate{any1(), any1()}, append(units(0, 50, 4), units(1, 50)...), []int{0, 0, 1}},
		"no use in moving":             {[]assign.Candidate{any1(), any1()}, append(units(0, 1, 1), units(1, 1)...), []int{0, 0, 1}},
		"a drain goes to the others":   {[]assign.Candidate{draining, any1()}, units(0, 1, 1), []int{1, 1}},
		"a drain without others waits": {[]assign.Candidate{draining, draining}, units(0, 1, 1), []int{0, 0}},
		"nothing new for a drain":      {[]assign.Candidate{draining}, units(assign.None, 1), []int{assign.None}},
		"only the capable": {
			[]assign.Candidate{first, any1()},
			[]assign.Unit{{1, 1, assign.None, false}, {1, 1, assign.None, false}, {1, 0, assign.None, false}, {1, 2, assign.None, false}},
			[]int{1, 1, 0, assign.None},
		},
		"no choice beside orphans": {
			[]assign.Candidate{any1(), any1()},
			append(units(0, 1, 1, 1, 1, 1, 1), units(assign.None, 1)...),
			[]int{0, 0, 0, 0, 0, 0, 1},
		},
		"what is on its way counts": {
			[]assign.Candidate{any1(), any1()},
			append(units(0, 1, 1, 1), assign.Unit{1, 0, assign.None, true}, assign.Unit{1, 0, assign.None, true}, assign.Unit{1, 0, assign.None, true}),
			[]int{0, 0, 0, 1, 1, 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(c.want, assign.Balance(c.workers, c.units)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// fleet is a random balancing problem.
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
			worker.Can = []bool{rapid.Bool().Draw(t, "can 0"), rapid.Bool().Draw(t, "can 1")}
			worker.Accepts = rapid.IntRange(0, 9).Draw(t, "draining") > 0
		}
		f.workers = append(f.workers, worker)
	}
	heaviest := rapid.SampledFrom([]uint64{1, 3, 100}).Draw(t, "heaviest")
	for range rapid.IntRange(0, 120).Draw(t, "units") {
		f.units = append(f.units, assign.Unit{
			Weight: rapid.Uint64Range(1, heaviest).Draw(t, "weight"),
			Class:  rapid.IntRange(0, 1).Draw(t, "class"),
			Owner:  rapid.IntRange(assign.None, len(f.workers)-1).Draw(t, "owner"),
		})
	}
	return f
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

func (f fleet) alike() fleet {
	f.workers = slices.Repeat([]assign.Candidate{any1()}, len(f.workers))
	return f
}

func share(units, workers int) int { return (units + workers - 1) / workers }

func TestNeverAnIncapableWorker(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		f := drawFleet(t)
		for u, owner := range f.balance() {
			unit := f.units[u]
			capable := func(w assign.Candidate) bool { return w.Accepts && w.Can[unit.Class] }
			switch {
			case owner == assign.None:
				if slices.ContainsFunc(f.workers, capable) {
					t.Fatalf("unit %d has no owner, and there is a capable one", u)
				}
			case !f.workers[owner].Can[unit.Class]:
				t.Fatalf("unit %d went to an incapable worker", u)
			case !f.workers[owner].Accepts && (unit.Owner != owner || slices.ContainsFunc(f.workers, capable)):
				t.Fatalf("unit %d is left to a worker that accepts nothing", u)
			}
		}
	})
}

func TestLoadFromScratchIsAtMostFairShareAndOneUnit(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		f := drawFleet(t).orphaned().alike()
		load, total, heaviest := make([]uint64, len(f.workers)), uint64(0), uint64(0)
		for u, owner := range f.balance() {
			load[owner] += f.units[u].Weight
			total, heaviest = total+f.units[u].Weight, max(heaviest, f.units[u].Weight)
		}
		if n := uint64(len(load)); slices.Max(load)*n > total+heaviest*n {
			t.Fatalf("loads %v of %d in all, the heaviest unit weighs %d", load, total, heaviest)
		}
	})
}

func TestBalancingHasAnEnd(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) { drawFleet(t).settled(t) })
}

func TestSecondPassMovesNothing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		f := drawFleet(t).orphaned()
		f = f.own(f.balance())
		if moves := f.moves(f.balance()); moves > 0 {
			t.Fatalf("%d moves right after balancing from scratch", moves)
		}
	})
}

func TestJoinMovesAtMostTheNewcomersShare(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		f := drawFleet(t).alike().orphaned().settled(t)
		newcomer := len(f.workers)
		f.workers = append(f.workers, any1())
		joined := f.settled(t)
		moves := 0
		for u, unit := range joined.units {
			if unit.Owner != f.units[u].Owner {
				moves++
				if unit.Owner != newcomer {
					t.Fatalf("unit %d moved between those who were there", u)
				}
			}
		}
		if most := share(len(f.units), len(f.workers)); moves > most {
			t.Fatalf("%d moves, at most %d were due", moves, most)
		}
	})
}

func TestLeaveMovesTheLeaversUnitsOnly(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		f := drawFleet(t).alike().orphaned().settled(t)
		leaver := rapid.IntRange(0, len(f.workers)-1).Draw(t, "leaver")
		f.workers = append(f.workers, any1())
		f.workers[leaver].Accepts = false
		for u, owner := range f.balance() {
			if had := f.units[u].Owner; had != leaver && owner != had {
				t.Fatalf("unit %d moved from a worker that stays", u)
			}
		}
	})
}

func TestOneUserMoreMovesNothing(t *testing.T) {
	t.Parallel()
	f := fleet{workers: slices.Repeat([]assign.Candidate{any1()}, 3), units: units(assign.None, slices.Repeat([]uint64{1}, 1024)...)}
	f = f.own(f.balance())
	for u := range f.units {
		f.units[u].Weight++
		if moves := f.moves(f.balance()); moves > 0 {
			t.Fatalf("%d moves after %d registrations", moves, u+1)
		}
	}
}
