// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package assign

import (
	"cmp"
	"slices"
)

// queue is a heap of the workers capable of one class, least loaded first. A load
// only grows while orphans are placed, so an entry is mended when it comes up.
// Workers without room for the unit at hand wait beside it for a smaller one.
type queue struct {
	b        *balancer
	heap     []queued
	waiting  []int
	roomiest int64 // no waiting worker has more room
}

type queued struct {
	worker          int
	ratio, capacity float64
}

// queue returns the workers that can take units like this one.
func (b *balancer) queue(unit int) *queue {
	q := &queue{b: b}
	for i, worker := range b.workers {
		if worker.Accepts && b.can(i, unit) {
			q.heap = append(q.heap, b.queued(i))
		}
	}
	slices.SortFunc(q.heap, queued.compare) // sorted is a heap
	return q
}

func (b *balancer) queued(worker int) queued {
	return queued{worker, b.ratio(worker), b.capacity(worker)}
}

// least returns the least loaded worker with room for a size, or None.
func (q *queue) least(size uint64) int {
	q.readmit(int64(size))
	for len(q.heap) > 0 {
		top := &q.heap[0]
		switch now := q.b.ratio(top.worker); {
		case now != top.ratio:
			top.ratio = now
			q.sink()
		case q.b.room[top.worker] < int64(size):
			q.park()
		default:
			return top.worker
		}
	}
	return None
}

// park puts the first worker aside.
func (q *queue) park() {
	worker, last := q.heap[0].worker, len(q.heap)-1
	q.waiting = append(q.waiting, worker)
	q.roomiest = max(q.roomiest, q.b.room[worker])
	q.heap[0] = q.heap[last]
	q.heap = q.heap[:last]
	q.sink()
}

// readmit takes back the waiting workers that have room for a size.
func (q *queue) readmit(size int64) {
	if len(q.waiting) == 0 || q.roomiest < size {
		return
	}
	waiting := q.waiting
	q.waiting, q.roomiest = q.waiting[:0], 0
	for _, worker := range waiting {
		if room := q.b.room[worker]; room < size {
			q.waiting = append(q.waiting, worker)
			q.roomiest = max(q.roomiest, room)
			continue
		}
		q.heap = append(q.heap, q.b.queued(worker))
		q.rise()
	}
}

// sink moves the first entry down to its place.
func (q *queue) sink() {
	for i := 0; ; {
		child := 2*i + 1
		if child >= len(q.heap) {
			return
		}
		if right := child + 1; right < len(q.heap) && q.heap[right].compare(q.heap[child]) < 0 {
			child = right
		}
		if q.heap[i].compare(q.heap[child]) <= 0 {
			return
		}
		q.heap[i], q.heap[child] = q.heap[child], q.heap[i]
		i = child
	}
}

// rise moves the last entry up to its place.
func (q *queue) rise() {
	for i := len(q.heap) - 1; i > 0; {
		parent := (i - 1) / 2
		if q.heap[parent].compare(q.heap[i]) <= 0 {
			return
		}
		q.heap[i], q.heap[parent] = q.heap[parent], q.heap[i]
		i = parent
	}
}

// compare orders by load for capacity, then the larger worker first.
func (x queued) compare(y queued) int {
	if x.ratio != y.ratio {
		return cmp.Compare(x.ratio, y.ratio)
	}
	return cmp.Or(cmp.Compare(y.capacity, x.capacity), cmp.Compare(x.worker, y.worker))
}
