// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package assign

import (
	"cmp"
	"math"
	"slices"
)

// None is the owner of a unit that nobody owns.
const None = -1

// damping is what a worker's capacity counts for while it flaps.
const damping = 0.1

// Candidate is a worker as the balancer sees it.
type Candidate struct {
	// Capacity relates the loads of workers; 0 counts as 1.
	Capacity uint32
	// Damped workers get a tenth of what their capacity is due, and the rest of it
	// only where nobody else has room.
	Damped bool
	// Most is the greatest size a worker may be given in all, and Busy the size of
	// what it still runs beside its units, being told to let go. A Most of 0 is none.
	Most, Busy uint64
	// Can says, by class of unit, what the worker is capable of.
	Can []bool
	// Accepts is false for a worker that must be relieved of what it has, unless it is
	// Frozen: then it keeps all of that, whatever it is.
	Accepts, Frozen bool
}

// Unit is one thing to run.
type Unit struct {
	// Weight is what is balanced, Size what counts towards Candidate.Most.
	Weight, Size uint64
	// Class indexes Candidate.Can.
	Class int
	// Owner is the index of the candidate that has the unit now, or None.
	Owner int
	// Settling marks a unit without owner that is being handed over: it has been
	// moved already and waits for its old owner.
	Settling bool
}

// Balance says who should own each unit, or None where no candidate can or has room.
//
// A unit stays with its owner unless that cannot or must not keep it. Units without
// owner go, heaviest first, to the candidate with the least load for its capacity,
// so no load is above fair share plus one unit. Only when there were none does
// Balance move others by choice: to fill candidates that are far below their fair
// share and to relieve those far above, and never more than one newcomer's share.
// Nobody is ever left with more than its most: what fits nowhere has no owner.
func Balance(workers []Candidate, units []Unit) []int {
	b := newBalancer(workers, units)
	orphans := b.keep()
	b.place(orphans)
	b.measure()
	homeless, settling := b.homeless(orphans)
	if len(homeless) > 0 {
		// Where they go is still free; who has something keeps it this time.
		b.spread(orphans, homeless)
		return b.owner
	}
	if budget := b.newcomersShare() - settling; budget > 0 && b.uneven() {
		b.allow(b.settled())
		b.level(budget)
	}
	return b.owner
}

// balancer is the working state of one Balance.
type balancer struct {
	workers []Candidate
	units   []Unit
	owner   []int
	load    []float64
	room    []int64   // by worker: the size it can be given beside all it runs now
	kept    []uint64  // by worker: the size of what it runs now and keeps
	count   []int     // by worker: its units
	fair    []float64 // by worker: its part of the whole load
	limit   []int     // by worker: how many units it is filled up to
	grain   float64   // the least difference from fair that counts
	mean    float64   // the mean weight of a unit
	movable []movable // by worker: the units it may give away by choice
}

func newBalancer(workers []Candidate, units []Unit) *balancer {
	return &balancer{
		workers: workers,
		units:   units,
		owner:   slices.Repeat([]int{None}, len(units)),
		load:    make([]float64, len(workers)),
		room:    make([]int64, len(workers)),
		kept:    make([]uint64, len(workers)),
		count:   make([]int, len(workers)),
		fair:    make([]float64, len(workers)),
		limit:   make([]int, len(workers)),
	}
}

func (b *balancer) capacity(worker int) float64 {
	capacity := float64(max(b.workers[worker].Capacity, 1))
	if b.workers[worker].Damped {
		return capacity * damping
	}
	return capacity
}

func (b *balancer) ratio(worker int) float64 { return b.load[worker] / b.capacity(worker) }

func (b *balancer) can(worker, unit int) bool {
	class := b.units[unit].Class
	return class < len(b.workers[worker].Can) && b.workers[worker].Can[class]
}

// fits tells whether a worker may be given a unit.
func (b *balancer) fits(worker, unit int) bool {
	return b.can(worker, unit) && b.room[worker] >= int64(b.units[unit].Size)
}

// keep leaves units where they may stay and returns the others.
func (b *balancer) keep() []int {
	for i, worker := range b.workers {
		b.room[i] = math.MaxInt64
		if worker.Most > 0 {
			b.room[i] = int64(worker.Most) - int64(worker.Busy)
		}
	}
	var orphans []int
	for u, unit := range b.units {
		if unit.Owner == None {
			orphans = append(orphans, u)
			continue
		}
		if b.workers[unit.Owner].Frozen {
			b.owner[u] = unit.Owner // no load there: it takes no part in the balance
			continue
		}
		// It runs there until it is let go of, wherever it goes.
		b.room[unit.Owner] -= int64(unit.Size)
		if !b.workers[unit.Owner].Accepts || !b.can(unit.Owner, u) {
			orphans = append(orphans, u)
			continue
		}
		b.kept[unit.Owner] += unit.Size
		b.give(u, unit.Owner)
	}
	return append(orphans, b.excess()...)
}

// excess takes from workers that have outgrown their most as few units as it takes,
// and of those the smallest.
func (b *balancer) excess() []int {
	above := func(i int) bool { return b.workers[i].Most > 0 && b.kept[i] > b.workers[i].Most }
	had := make(map[int][]int)
	for i := range b.workers {
		if above(i) {
			had[i] = nil
		}
	}
	if len(had) == 0 {
		return nil
	}
	for u, i := range b.owner {
		if i != None && above(i) {
			had[i] = append(had[i], u)
		}
	}
	var out []int
	for i, units := range had {
		slices.SortFunc(units, func(x, y int) int {
			return cmp.Or(cmp.Compare(b.units[x].Size, b.units[y].Size), cmp.Compare(x, y))
		})
		for above(i) {
			at, _ := slices.BinarySearchFunc(units, b.kept[i]-b.workers[i].Most, func(u int, excess uint64) int {
				return cmp.Compare(b.units[u].Size, excess)
			})
			at = min(at, len(units)-1)
			out = append(out, units[at])
			b.release(units[at])
			units = slices.Delete(units, at, at+1)
		}
	}
	return out
}

// release takes a unit from the worker that has it now.
func (b *balancer) release(unit int) {
	from := b.owner[unit]
	b.owner[unit] = None
	b.load[from] -= float64(b.units[unit].Weight)
	b.kept[from] -= b.units[unit].Size
	b.count[from]--
}

// give makes a worker a unit's owner. Room is made by taking away again what was
// only promised; what a worker runs now takes its room until it has let go.
func (b *balancer) give(unit, worker int) {
	weight, size := float64(b.units[unit].Weight), int64(b.units[unit].Size)
	if from := b.owner[unit]; from != None {
		b.load[from] -= weight
		b.count[from]--
		if from != b.units[unit].Owner {
			b.room[from] += size
		}
	}
	b.owner[unit] = worker
	b.load[worker] += weight
	b.count[worker]++
	if worker != b.units[unit].Owner {
		b.room[worker] -= size
	}
}

// place finds an owner for each orphan that has none, heaviest first, and returns
// those it was found for. Where nobody can take it, a capable owner that wants to be
// rid of it keeps it, up to its most.
func (b *balancer) place(orphans []int) (placed []int) {
	slices.SortFunc(orphans, b.heavier)
	queues := make(map[int]*queue)
	for _, u := range orphans {
		if b.owner[u] != None {
			continue
		}
		class := b.units[u].Class
		if queues[class] == nil {
			queues[class] = b.queue(u)
		}
		if worker := queues[class].least(b.units[u].Size); worker != None {
			b.give(u, worker)
			placed = append(placed, u)
			continue
		}
		b.leave(u)
	}
	return placed
}

// leave lets a draining worker keep a unit. It is no load there: such a worker takes
// no part in the balance.
func (b *balancer) leave(unit int) {
	had := b.units[unit].Owner
	if had == None || b.workers[had].Accepts || !b.can(had, unit) {
		return
	}
	if most := b.workers[had].Most; most == 0 || b.kept[had]+b.units[unit].Size <= most {
		b.owner[unit] = had
		b.kept[had] += b.units[unit].Size
	}
}

// spread evens out the orphans that were found an owner, and finds one for more of
// them where that has made room.
func (b *balancer) spread(orphans, homeless []int) {
	for len(homeless) > 0 {
		b.allow(homeless)
		b.level(len(b.units))
		for b.even() && b.level(len(b.units)) {
			continue
		}
		placed := b.place(orphans)
		if len(placed) == 0 {
			return
		}
		homeless = append(homeless, placed...)
		b.measure()
	}
}

// heavier orders units by weight, the heaviest first.
func (b *balancer) heavier(x, y int) int {
	first, second := &b.units[x], &b.units[y]
	if first.Weight != second.Weight {
		return cmp.Compare(second.Weight, first.Weight)
	}
	return cmp.Or(cmp.Compare(second.Size, first.Size), cmp.Compare(x, y))
}
