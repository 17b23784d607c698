// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package assign

import (
	"cmp"
	"math"
	"slices"
)

const (
	// Within bandLow to bandHigh of its fair share, a worker's load is left alone.
	bandLow  = 0.95
	bandHigh = 1.10
)

// measure works out fair shares, and how large a difference must be to count: that
// of a unit. Giants, heavier than a worker's mean load, would hide all others.
func (b *balancer) measure() {
	var load, capacity, accepting float64
	for i, worker := range b.workers {
		if worker.Accepts {
			load, capacity, accepting = load+b.load[i], capacity+b.capacity(i), accepting+1
		}
	}
	for i, worker := range b.workers {
		if worker.Accepts {
			b.fair[i] = load * b.capacity(i) / capacity
			b.limit[i] = int(math.Ceil(float64(len(b.units)) * b.capacity(i) / capacity))
		}
	}
	var heaviest, whole float64
	for _, unit := range b.units {
		weight := float64(unit.Weight)
		heaviest, whole = max(heaviest, weight), whole+weight
		if weight*accepting <= load {
			b.grain = max(b.grain, weight)
		}
	}
	if b.grain == 0 {
		b.grain = heaviest
	}
	b.mean = whole / float64(max(len(b.units), 1))
}

// under tells whether a worker is to be filled, over whether it is to be relieved.
func (b *balancer) under(worker int) bool {
	return b.workers[worker].Accepts && b.load[worker] < bandLow*b.fair[worker] && b.fair[worker]-b.load[worker] > b.grain
}

func (b *balancer) over(worker int) bool {
	return b.workers[worker].Accepts && b.load[worker] > bandHigh*b.fair[worker] && b.load[worker]-b.fair[worker] > b.grain
}

// uneven tells whether anybody is.
func (b *balancer) uneven() bool {
	for i := range b.workers {
		if b.under(i) || b.over(i) {
			return true
		}
	}
	return false
}

// level moves some of the movable units by choice. Each move brings the worker it is
// made for nearer to its fair share by the unit's whole weight and costs the other
// less than that, so there is an end; and no move makes anybody under or over, so
// the end is one. It reports whether it moved anything.
func (b *balancer) level(budget int) bool {
	left := budget
	for moved := true; moved; {
		moved = false
		for _, worker := range b.sorted(b.under) {
			for left > 0 && b.fill(worker) {
				left, moved = left-1, true
			}
		}
		for _, worker := range slices.Backward(b.sorted(b.over)) {
			for left > 0 && b.shed(worker) {
				left, moved = left-1, true
			}
		}
	}
	return left < budget
}

// homeless returns the orphans that were found an owner and may have any other,
// and counts those that are settling: where these go is as good as decided.
func (b *balancer) homeless(orphans []int) (out []int, settling int) {
	for _, u := range orphans {
		switch {
		case b.units[u].Settling:
			settling++
		case b.owner[u] != None && b.owner[u] != b.units[u].Owner:
			out = append(out, u)
		}
	}
	return out, settling
}

// settled returns the units that are where they were and could go elsewhere.
func (b *balancer) settled() []int {
	var out []int
	for u, unit := range b.units {
		if unit.Owner != None && b.owner[u] == unit.Owner && b.workers[unit.Owner].Accepts {
			out = append(out, u)
		}
	}
	return out
}

// newcomersShare is how many units a worker that has just come would get.
func (b *balancer) newcomersShare() int {
	accepting := 0
	for _, worker := range b.workers {
		if worker.Accepts {
			accepting++
		}
	}
	if accepting == 0 {
		return 0
	}
	return (len(b.units) + accepting - 1) / accepting
}

// movable are units that one worker may give away by choice.
type movable struct {
	units  []int
	sorted bool
}

// allow lists, by worker, what may be moved by choice.
func (b *balancer) allow(units []int) {
	b.movable = make([]movable, len(b.workers))
	held := make([]int, len(b.workers))
	for _, u := range units {
		held[b.owner[u]]++
	}
	backing := make([]int, len(units))
	for i, n := range held {
		b.movable[i].units, backing = backing[:0:n], backing[n:]
	}
	for _, u := range units {
		from := &b.movable[b.owner[u]]
		from.units = append(from.units, u)
	}
}

// from returns what a worker may give away, heaviest first. Most are never asked.
func (b *balancer) from(worker int) []int {
	m := &b.movable[worker]
	if !m.sorted {
		slices.SortFunc(m.units, b.heavier)
		m.sorted = true
	}
	return m.units
}

// sorted returns the workers of a kind, least loaded first.
func (b *balancer) sorted(kind func(int) bool) []int {
	var out []int
	for i := range b.workers {
		if kind(i) {
			out = append(out, i)
		}
	}
	slices.SortStableFunc(out, func(x, y int) int { return cmp.Compare(b.ratio(x), b.ratio(y)) })
	return out
}

// fill moves one unit to a worker, from the most loaded one above its fair share
// that has one small enough. With its fair share of the number of units a worker is
// full, whatever they weigh: a newcomer must not upset the whole cluster.
func (b *balancer) fill(to int) bool {
	best, at := None, 0
	if b.count[to] >= b.limit[to] {
		return false
	}
	for from := range b.workers {
		if from == to || b.load[from] <= b.fair[from] || best != None && b.ratio(from) <= b.ratio(best) {
			continue
		}
		if i := b.fitting(from, to, b.fair[to]-b.load[to]); i != None {
			best, at = from, i
		}
	}
	if best == None {
		return false
	}
	b.move(best, at, to)
	return true
}

// shed moves one unit from a worker, to the least loaded one below its fair share
// that is capable of one small enough.
func (b *balancer) shed(from int) bool {
	best, at := None, 0
	for to := range b.workers {
		if to == from || !b.workers[to].Accepts || b.load[to] >= b.fair[to] || best != None && b.ratio(to) >= b.ratio(best) {
			continue
		}
		// One that is full by number still takes what is heavier than most.
		if i := b.fitting(from, to, b.load[from]-b.fair[from]); i != None &&
			(b.count[to] < b.limit[to] || float64(b.units[b.from(from)[i]].Weight) >= b.mean) {
			best, at = to, i
		}
	}
	if best == None {
		return false
	}
	b.move(from, at, best)
	return true
}

// fitting finds the heaviest unit one may give and the other may take, up to a
// weight, as an index of the giver's movable units. Giants stay where they are.
func (b *balancer) fitting(from, to int, limit float64) int {
	limit = min(limit, b.grain)
	units := b.from(from)
	start, _ := slices.BinarySearchFunc(units, limit, func(u int, limit float64) int {
		return cmp.Compare(limit, float64(b.units[u].Weight))
	})
	for i := start; i < len(units); i++ {
		if b.fits(to, units[i]) {
			return i
		}
	}
	return None
}

func (b *balancer) move(from, at, to int) {
	unit := b.from(from)[at]
	b.give(unit, to)
	b.movable[from].units = slices.Delete(b.movable[from].units, at, at+1)
	place, _ := slices.BinarySearchFunc(b.from(to), unit, b.heavier)
	b.movable[to].units = slices.Insert(b.movable[to].units, place, unit)
}
