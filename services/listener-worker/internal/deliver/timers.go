// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deliver

import (
	"container/heap"
	"time"
)

// alarm is when something wants to be looked at.
type alarm struct {
	due   time.Time
	index int // in timers, counted from one; zero without a timer
}

// timed is what can have a timer, one at most: a lane or an outage.
type timed interface{ timer() *alarm }

func (a *alarm) timer() *alarm { return a }

// timers are those that wait, the earliest first.
type timers struct{ heap byDue }

// set gives a timer, in place of the one there is.
func (t *timers) set(of timed, at time.Time) {
	a := of.timer()
	a.due = at
	if a.index > 0 {
		heap.Fix(&t.heap, a.index-1)
		return
	}
	heap.Push(&t.heap, of)
}

func (t *timers) remove(of timed) {
	if index := of.timer().index; index > 0 {
		heap.Remove(&t.heap, index-1)
	}
}

// popDue takes out one whose time has come, nil without one.
func (t *timers) popDue(now time.Time) timed {
	if at, ok := t.next(); !ok || at.After(now) {
		return nil
	}
	return heap.Pop(&t.heap).(timed) //nolint:errcheck,forcetypeassert // nothing else is pushed
}

func (t *timers) next() (time.Time, bool) {
	if len(t.heap) == 0 {
		return time.Time{}, false
	}
	return t.heap[0].timer().due, true
}

// byDue implements [heap.Interface].
type byDue []timed

// Len implements [heap.Interface].
func (h *byDue) Len() int { return len(*h) }

// Less implements [heap.Interface].
func (h *byDue) Less(i, j int) bool { return (*h)[i].timer().due.Before((*h)[j].timer().due) }

// Swap implements [heap.Interface].
func (h *byDue) Swap(i, j int) {
	all := *h
	all[i], all[j] = all[j], all[i]
	all[i].timer().index, all[j].timer().index = i+1, j+1
}

// Push implements [heap.Interface].
func (h *byDue) Push(x any) {
	of := x.(timed) //nolint:errcheck,forcetypeassert // nothing else is pushed
	*h = append(*h, of)
	of.timer().index = len(*h)
}

// Pop implements [heap.Interface].
func (h *byDue) Pop() any {
	old := *h
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	last.timer().index = 0
	return last
}
