// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package assign

import (
	"cmp"
	"container/heap"
	"slices"
)

// None is the owner of a unit that nobody owns.
const None = -1

const (
	// Within bandLow to bandHigh of its fair share, a worker's load is left alone.
	bandLow  = 0.95
	bandHigh = 1.10
)

// Candidate is a worker as the balancer sees it.
type Candidate struct {
	// Capacity relates the loads of workers; 0 counts as 1.
	Capacity uint32
	// Can says, by class of unit, what the worker is capable of.
	Can []bool
	// Accepts is false for a worker that must be relieved of what it has.
	Accepts bool
}

// Unit is one thing to run.
type Unit struct {
	Weight uint64
	// Class indexes Candidate.Can.
	Class int
	// Owner is the index of the candidate that has the unit now, or None.
	Owner int
	// Settling marks a unit without owner that is being handed over: it has been
	// moved already and waits for its old owner.
	Settling bool
}

// Balance says who should own each unit, or None where no candidate can.
//
// A unit stays with its owner unless that cannot or must not keep it. Units without
// owner go, heaviest first, to the candidate with the least load for its capacity,
// so no load is above fair share plus one unit. Only when there were none does
// Balance move others by choice: to fill candidates that are far below their fair
// share and to relieve those far above, and never more than one newcomer's share.
func Balance(workers []Candidate, units []Unit) []int {
	b := newBalancer(workers, units)
	orphans := b.keep()
	b.place(orphans)
	b.measure()
	homeless, settling := b.homeless(orphans)
	if len(homeless) > 0 {
		// Where they go is still free; who has something keeps it this time.
		b.level(homeless, len(units))
		return b.owner
	}
	b.level(b.settled(), b.newcomersShare()-settling)
	return b.owner
}

// balancer is the working state of one Balance.
type balancer struct {
	workers []Candidate
	units   []Unit
	owner   []int
	load    []float64
	count   []int     // by worker: its units
	fair    []float64 // by worker: its part of the whole load
	grain   float64   // the least difference from fair that counts
	mean    float64   // the mean weight of a unit
	movable [][]int   // by worker: the units it may give away by choice, heaviest first
	limit   []int     // by worker: how many units it is filled up to
}

func newBalancer(workers []Candidate, units []Unit) *balancer {
	return &balancer{
		workers: workers,
		units:   units,
		owner:   make([]int, len(units)),
		load:    make([]float64, len(workers)),
		count:   make([]int, len(workers)),
		fair:    make([]float64, len(workers)),
		limit:   make([]int, len(workers)),
	}
}

func (b *balancer) capacity(worker int) float64 { return float64(max(b.workers[worker].Capacity, 1)) }

func (b *balancer) ratio(worker int) float64 { return b.load[worker] / b.capacity(worker) }

func (b *balancer) can(worker, unit int) bool {
	class := b.units[unit].Class
	return class < len(b.workers[worker].Can) && b.workers[worker].Can[class]
}

// keep leaves units where they may stay and returns the others.
func (b *balancer) keep() []int {
	var orphans []int
	for u, unit := range b.units {
		b.owner[u] = None
		if unit.Owner != None && b.workers[unit.Owner].Accepts && b.can(unit.Owner, u) {
			b.give(u, unit.Owner)
			continue
		}
		orphans = append(orphans, u)
	}
	return orphans
}

func (b *balancer) give(unit, worker int) {
	weight := float64(b.units[unit].Weight)
	if from := b.owner[unit]; from != None {
		b.load[from] -= weight
		b.count[from]--
	}
	b.owner[unit] = worker
	b.load[worker] += weight
	b.count[worker]++
}

// place finds an owner for each orphan, heaviest first. Where nobody can take it, a
// capable owner keeps it, even one that wants to be rid of it.
func (b *balancer) place(orphans []int) {
	slices.SortFunc(orphans, b.heavier)
	queues := make(map[int]*queue)
	for _, u := range orphans {
		class := b.units[u].Class
		if queues[class] == nil {
			queues[class] = b.queue(u)
		}
		if worker := queues[class].least(b); worker != None {
			b.give(u, worker)
		} else if had := b.units[u].Owner; had != None && b.can(had, u) {
			b.owner[u] = had // no load: it takes no part in the balance
		}
	}
}

// queue is a heap of the workers capable of one class, least loaded first. A load
// only grows while orphans are placed, so an entry is mended when it comes up.
type queue []queued

type queued struct {
	worker          int
	ratio, capacity float64
}

// queue returns the workers that can take units like this one.
func (b *balancer) queue(unit int) *queue {
	out := new(queue)
	for i, worker := range b.workers {
		if worker.Accepts && b.can(i, unit) {
			*out = append(*out, queued{i, b.ratio(i), b.capacity(i)})
		}
	}
	heap.Init(out)
	return out
}

// least returns the least loaded worker, or None.
func (q *queue) least(b *balancer) int {
	for len(*q) > 0 {
		top := &(*q)[0]
		if now := b.ratio(top.worker); now != top.ratio {
			top.ratio = now
			heap.Fix(q, 0)
			continue
		}
		return top.worker
	}
	return None
}

// Len implements [heap.Interface].
func (q *queue) Len() int { return len(*q) }

// Less implements [heap.Interface].
func (q *queue) Less(i, j int) bool {
	x, y := (*q)[i], (*q)[j]
	return cmp.Or(cmp.Compare(x.ratio, y.ratio), cmp.Compare(y.capacity, x.capacity), cmp.Compare(x.worker, y.worker)) < 0
}

// Swap implements [heap.Interface].
func (q *queue) Swap(i, j int) { (*q)[i], (*q)[j] = (*q)[j], (*q)[i] }

// Push implements [heap.Interface].
func (q *queue) Push(x any) { *q = append(*q, x.(queued)) } //nolint:errcheck // ours alone

// Pop implements [heap.Interface].
func (q *queue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}
