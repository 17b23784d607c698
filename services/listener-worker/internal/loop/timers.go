// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package loop

import (
	"container/heap"
	"time"

	"mailpush.internal/services/listener-worker/internal/moment"
)

// Timer is when something wants to be looked at. What has one embeds it; the zero value
// waits for nothing.
type Timer struct {
	at    moment.Moment
	index int // in the heap, counted from one; zero without a time
}

// Timed is what embeds a [Timer].
type Timed interface{ timer() *Timer }

func (t *Timer) timer() *Timer { return t }

// Waits tells whether a time is set.
func (t *Timer) Waits() bool { return t.index > 0 }

// Due is the time that is set.
func (t *Timer) Due() moment.Moment { return t.at }

// Timers are those that wait for a time, the earliest first. They belong to the
// goroutine of a loop.
type Timers struct{ heap byTime }

// Set gives a timer its time, in place of the one there is; the zero time takes it out.
func (t *Timers) Set(of Timed, at time.Time) {
	timer := of.timer()
	timer.at = moment.Of(at)
	switch {
	case at.IsZero():
		t.Remove(of)
	case timer.index > 0:
		heap.Fix(&t.heap, timer.index-1)
	default:
		heap.Push(&t.heap, of)
	}
}

// Remove takes a timer out; one that does not wait is left alone.
func (t *Timers) Remove(of Timed) {
	if index := of.timer().index; index > 0 {
		heap.Remove(&t.heap, index-1)
	}
}

// PopDue takes out one whose time has come, nil without one.
func (t *Timers) PopDue(now time.Time) Timed {
	if len(t.heap) == 0 || t.heap[0].timer().at > moment.Of(now) {
		return nil
	}
	of, _ := heap.Pop(&t.heap).(Timed)
	return of
}

// Next is the earliest time that is set, as seen from now; zero without one.
func (t *Timers) Next(now time.Time) time.Time {
	if len(t.heap) == 0 {
		return time.Time{}
	}
	return t.heap[0].timer().at.Time(now)
}

// Sooner is the earlier of two times, of which a zero one does not count.
func Sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// byTime implements [heap.Interface].
type byTime []Timed

// Len implements [heap.Interface].
func (h *byTime) Len() int { return len(*h) }

// Less implements [heap.Interface].
func (h *byTime) Less(i, j int) bool { return (*h)[i].timer().at < (*h)[j].timer().at }

// Swap implements [heap.Interface].
func (h *byTime) Swap(i, j int) {
	all := *h
	all[i], all[j] = all[j], all[i]
	all[i].timer().index, all[j].timer().index = i+1, j+1
}

// Push implements [heap.Interface].
func (h *byTime) Push(x any) {
	if of, ok := x.(Timed); ok {
		*h = append(*h, of)
		of.timer().index = len(*h)
	}
}

// Pop implements [heap.Interface].
func (h *byTime) Pop() any {
	old := *h
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	last.timer().index = 0
	return last
}
