// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"container/heap"
	"math/rand/v2"
	"time"
)

// timers holds the running entries that wait for a time, the soonest first.
type timers []*running

// set gives an entry its time; the zero time takes it out.
func (t *timers) set(r *running, at time.Time) {
	inside := r.timerIndex >= 0
	r.wakeAt = at
	switch {
	case inside && at.IsZero():
		heap.Remove(t, r.timerIndex)
	case inside:
		heap.Fix(t, r.timerIndex)
	case !at.IsZero():
		heap.Push(t, r)
	}
}

// due takes out an entry whose time has come, nil when there is none.
func (t *timers) due(now time.Time) *running {
	if len(*t) == 0 || (*t)[0].wakeAt.After(now) {
		return nil
	}
	r, _ := heap.Pop(t).(*running)
	return r
}

// Len, Less, Swap, Push and Pop implement [heap.Interface].
func (t timers) Len() int           { return len(t) }
func (t timers) Less(i, j int) bool { return t[i].wakeAt.Before(t[j].wakeAt) }
func (t timers) Swap(i, j int) {
	t[i], t[j] = t[j], t[i]
	t[i].timerIndex, t[j].timerIndex = i, j
}

// Push implements [heap.Interface].
func (t *timers) Push(x any) {
	r, _ := x.(*running)
	r.timerIndex = len(*t)
	*t = append(*t, r)
}

// Pop implements [heap.Interface].
func (t *timers) Pop() any {
	old := *t
	last := len(old) - 1
	r := old[last]
	old[last] = nil
	*t = old[:last]
	r.timerIndex = -1
	return r
}

// jitter is full jitter: anything from nothing to all of d.
func jitter(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return rand.N(d)
}
