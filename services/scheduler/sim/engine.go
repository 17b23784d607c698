// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"container/heap"
	"math/rand/v2"
	"time"
)

// event is something that happens at a moment of true time.
type event struct {
	at    time.Duration
	order uint64 // among events of one moment
	do    func()
}

// events is a heap by time.
type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].order < e[j].order
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any) {
	next, _ := x.(event) // nothing else is pushed
	*e = append(*e, next)
}
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	(*e)[len(*e)-1] = event{}
	*e = (*e)[:len(*e)-1]
	return last
}

// engine is true time and what happens in it. All randomness of a schedule is drawn
// from it, in an order that only the schedule's seed decides.
type engine struct {
	now    time.Duration
	queue  events
	order  uint64
	random *rand.Rand
	trace  func(now time.Duration, what string) // nil without a trace
}

// at has something happen at a moment, not before now.
func (e *engine) at(moment time.Duration, do func()) {
	e.order++
	heap.Push(&e.queue, event{max(moment, e.now), e.order, do})
}

// run lets happen what is due until a moment.
func (e *engine) run(until time.Duration) {
	for len(e.queue) > 0 && e.queue[0].at <= until {
		next, _ := heap.Pop(&e.queue).(event)
		e.now = next.at
		next.do()
	}
	e.now = until
}

// between draws a time from [low, high).
func (e *engine) between(low, high time.Duration) time.Duration {
	return low + time.Duration(e.random.Int64N(int64(high-low)))
}

func (e *engine) chance(p float64) bool { return e.random.Float64() < p }

func (e *engine) note(what string) {
	if e.trace != nil {
		e.trace(e.now, what)
	}
}

// node is a process with a clock of its own, which may be slow or fast, stop for a
// while, lose its messages in one direction or both, and die.
type node struct {
	*engine

	name           string
	rate           float64       // of its clock, to true time
	paused         time.Duration // it stands still until then
	cutTo, cutFrom time.Duration // messages to, and from, the servers are lost until then
	dead           bool
}

// clock is the node's time now.
func (n *node) clock() time.Duration { return time.Duration(float64(n.now) * n.rate) }

// wall is the node's time now as the machines want it.
func (n *node) wall() time.Time { return time.Unix(0, 0).Add(n.clock()) }

// truly is the moment of true time at which the node's clock shows something.
func (n *node) truly(clock time.Duration) time.Duration {
	return time.Duration(float64(clock) / n.rate)
}

// reach has something happen in the node at a moment: later if it is paused then,
// and never if it is dead.
func (n *node) reach(moment time.Duration, do func()) {
	n.at(moment, func() {
		switch {
		case n.dead:
		case n.now < n.paused:
			n.reach(n.paused, do)
		default:
			do()
		}
	})
}

// after has something happen when some time has passed on the node's clock.
func (n *node) after(d time.Duration, do func()) { n.reach(n.now+n.truly(d), do) }

// server is etcd or the registry, as the network sees it.
type server struct {
	down time.Duration // it is away until then
}

// network is how messages travel.
type network struct {
	loss float64 // of each message
	slow float64 // the share of messages that take long
}

func (w *world) delay() time.Duration {
	if w.chance(w.network.slow) {
		return w.between(50*time.Millisecond, 3*time.Second)
	}
	return w.between(100*time.Microsecond, 5*time.Millisecond)
}

const callTimeout = 1500 * time.Millisecond

// call asks a server something. ask happens at the server, once or not at all, maybe
// long after the node has given up; exactly one of answer and failed happens at the
// node. What answer is told is what ask returned.
func call[T any](w *world, n *node, s *server, ask func() T, answer func(T), failed func()) {
	done := false
	n.after(callTimeout, func() {
		if !done {
			done = true
			failed()
		}
	})
	if w.now < n.cutTo || w.chance(w.network.loss) {
		return
	}
	w.at(w.now+w.delay(), func() {
		if w.now < s.down {
			return
		}
		said := ask()
		if w.now < n.cutFrom || w.chance(w.network.loss) {
			return
		}
		n.reach(w.now+w.delay(), func() {
			if !done {
				done = true
				answer(said)
			}
		})
	})
}
