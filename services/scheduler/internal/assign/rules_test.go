// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package assign_test

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"mailpush.internal/services/scheduler/internal/assign"
)

// The rules of the balancer, each held against any fleet it can be held against.

func TestNeverAnIncapableWorker(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		f := drawFleet(t)
		for u, owner := range f.balance() {
			if owner != assign.None && !f.workers[owner].Can[f.units[u].Class] {
				t.Fatalf("unit %d went to an incapable worker", u)
			}
		}
	})
}

func TestNobodyIsOverItsDeclaredMost(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		f := drawFleet(t)
		owners := f.balance()
		has, given := make([]uint64, len(f.workers)), make([]bool, len(f.workers))
		for u, owner := range owners {
			if owner != assign.None {
				has[owner] += f.units[u].Size
				given[owner] = given[owner] || f.units[u].Owner != owner && f.units[u].Size > 0
			}
		}
		run := f.run(owners)
		for i, worker := range f.workers {
			if worker.Most > 0 && (has[i] > worker.Most || given[i] && run[i] > worker.Most) {
				t.Fatalf("worker %d of %+v has %d and runs up to %d", i, worker, has[i], run[i])
			}
		}
	})
}

func TestNobodyIsLeftWithoutWhereThereIsRoom(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		f := drawFleet(t)
		owners := f.balance()
		run := f.run(owners)
		for u, owner := range owners {
			unit := f.units[u]
			if owner != assign.None && f.workers[owner].Accepts {
				continue
			}
			for i, worker := range f.workers {
				if worker.Accepts && worker.Can[unit.Class] && (worker.Most == 0 || run[i]+unit.Size <= worker.Most) {
					t.Fatalf("unit %d is left with %d, and worker %d has room", u, owner, i)
				}
			}
			if owner != assign.None && owner != unit.Owner {
				t.Fatalf("unit %d went to a worker that accepts nothing", u)
			}
		}
	})
}

func TestLoadFromScratchIsAtMostFairShareAndOneUnit(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		f := drawFleet(t).orphaned().limitless()
		f = f.own(f.balance())
		total, heaviest, capacities, capacity := 0.0, 0.0, 0.0, make([]float64, len(f.workers))
		for i, worker := range f.workers {
			capacity[i] = float64(max(worker.Capacity, 1))
			if worker.Damped {
				capacity[i] /= 10
			}
			capacities += capacity[i]
		}
		for _, unit := range f.units {
			total, heaviest = total+float64(unit.Weight), max(heaviest, float64(unit.Weight))
		}
		for i, load := range f.loads() {
			if most := total*capacity[i]/capacities + heaviest; load > most+1e-6 {
				t.Fatalf("worker %d has a load of %v, at most %v is fair", i, load, most)
			}
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

// What a pass moves by choice is bounded in any fleet, whatever has happened to it.
func TestPassMovesAtMostOneShareByChoice(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		f := drawFleet(t)
		accepting := 0
		for i := range f.workers {
			f.workers[i].Most = 0
			if f.workers[i].Accepts {
				accepting++
			}
		}
		byChoice, forced := 0, 0
		for u, owner := range f.balance() {
			unit := f.units[u]
			switch {
			case unit.Owner == assign.None || !f.workers[unit.Owner].Accepts || !f.workers[unit.Owner].Can[unit.Class]:
				if owner != assign.None && owner != unit.Owner {
					forced++
				}
			case owner != unit.Owner:
				byChoice++
			}
		}
		if byChoice > 0 && (forced > 0 || byChoice > share(len(f.units), accepting)) {
			t.Fatalf("%d moves by choice beside %d that were needed, of %d units on %d workers", byChoice, forced, len(f.units), accepting)
		}
	})
}

func TestLeaveMovesTheLeaversUnitsOnly(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		f := drawFleet(t).alike().orphaned().settled(t)
		leaver := rapid.IntRange(0, len(f.workers)-1).Draw(t, "leaver")
		f.workers = append(f.workers, any1()) // so that somebody is left
		f = f.settled(t)
		f.workers = slices.Clone(f.workers)
		f.workers[leaver].Accepts = false
		left := f.own(f.balance())
		if !f.hasGiants() {
			// Nothing is to come after the first pass either.
			left = left.settled(t)
		}
		for u, unit := range left.units {
			had := f.units[u].Owner
			switch {
			case had == leaver && unit.Owner == leaver:
				t.Fatalf("unit %d stays with the leaver", u)
			case had != leaver && unit.Owner != had:
				t.Fatalf("unit %d moved from a worker that stays", u)
			}
		}
	})
}

func TestAMillionListenersAreEvenFromScratch(t *testing.T) {
	t.Parallel()
	for workers, most := range map[int]float64{3: 1.0001, 10: 1.0001, 100: 1.0005, 1000: 1.002} {
		t.Run(fmt.Sprint(workers, " workers"), func(t *testing.T) {
			t.Parallel()
			f := listenersFleet(workers)
			if got := f.own(f.balance()).imbalance(); got > most {
				t.Errorf("imbalance %.4f, want at most %v", got, most)
			}
		})
	}
}

func share(units, workers int) int { return (units + workers - 1) / max(workers, 1) }
