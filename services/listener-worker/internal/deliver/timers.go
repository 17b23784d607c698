// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deliver

import (
	"container/heap"
	"time"
)

// timers are the lanes that wait, the earliest first. A lane has one timer at most.
type timers struct{ lanes byDue }

// set gives a lane a timer, in place of the one it has.
func (t *timers) set(lane *lane, at time.Time) {
	lane.due = at
	if lane.index >= 0 {
		heap.Fix(&t.lanes, lane.index)
		return
	}
	heap.Push(&t.lanes, lane)
}

func (t *timers) remove(lane *lane) {
	if lane.index >= 0 {
		heap.Remove(&t.lanes, lane.index)
	}
}

// popDue takes out a lane whose time has come, nil without one.
func (t *timers) popDue(now time.Time) *lane {
	if len(t.lanes) == 0 || t.lanes[0].due.After(now) {
		return nil
	}
	return heap.Pop(&t.lanes).(*lane) //nolint:errcheck,forcetypeassert // only lanes are pushed
}

func (t *timers) next() (time.Time, bool) {
	if len(t.lanes) == 0 {
		return time.Time{}, false
	}
	return t.lanes[0].due, true
}

// byDue implements [heap.Interface].
type byDue []*lane

// Len implements [heap.Interface].
func (h *byDue) Len() int { return len(*h) }

// Less implements [heap.Interface].
func (h *byDue) Less(i, j int) bool { return (*h)[i].due.Before((*h)[j].due) }

// Swap implements [heap.Interface].
func (h *byDue) Swap(i, j int) {
	lanes := *h
	lanes[i], lanes[j] = lanes[j], lanes[i]
	lanes[i].index, lanes[j].index = i, j
}

// Push implements [heap.Interface].
func (h *byDue) Push(x any) {
	lane := x.(*lane) //nolint:errcheck,forcetypeassert // only lanes are pushed
	lane.index = len(*h)
	*h = append(*h, lane)
}

// Pop implements [heap.Interface].
func (h *byDue) Pop() any {
	old := *h
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	last.index = -1
	return last
}
