// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"container/heap"
	"slices"
	"time"

	"mailpush.internal/services/listener-worker/internal/loop"
	"mailpush.internal/services/listener-worker/internal/moment"
)

// pool runs blocking jobs, so many at once in all and so many per mail store, so
// that a store that hangs holds up only itself, and each store's at its pace. Of a
// store's jobs the one that waits longest goes first, stores take turns. All
// methods but the jobs run on the loop.
type pool struct {
	total, perStore int
	workers         int        // that the stores' paces are shared with, this one included
	loop            *loop.Loop // that the methods run on

	running int
	waiting int
	jobs    uint64 // so far
	stores  map[string]*share
	turn    []*share  // the stores with waiting jobs
	wakeAt  time.Time // when a pace lets the next one start; zero: none waits for that
}

// job is what a pool runs.
type job struct {
	store string
	pace  pace
	since moment.Moment // since when it is waited for
	do    func()
	back  func() // instead of do, when it is withdrawn; nil where that cannot be

	number uint64
}

// share is one mail store's part of a pool.
type share struct {
	store   string
	running int
	queue   queue
	meter   meter
}

func newPool(total int, on *loop.Loop) *pool {
	return &pool{
		total: total, perStore: max(total/2, 1), workers: 1,
		loop: on, stores: make(map[string]*share),
	}
}

// run has a job done on a goroutine of its own, as soon as there is room.
func (p *pool) run(j job) {
	s := p.stores[j.store]
	if s == nil {
		s = &share{store: j.store}
		p.stores[j.store] = s
	}
	if len(s.queue) == 0 {
		p.turn = append(p.turn, s)
		s.meter.begin(time.Now())
	}
	s.meter.pace = j.pace
	p.jobs++
	j.number = p.jobs
	heap.Push(&s.queue, j)
	p.waiting++
	p.start()
}

// start starts what there is room and time for.
func (p *pool) start() {
	now := time.Now()
	p.wakeAt = time.Time{}
	for i := 0; i < len(p.turn) && p.running < p.total; {
		s := p.turn[i]
		if s.running >= s.meter.atOnce(p.perStore, p.workers) {
			i++
			continue
		}
		if at := s.meter.next(p.workers); at.After(now) {
			p.wakeAt = loop.Sooner(p.wakeAt, at)
			i++
			continue
		}
		s.meter.take(now)
		j, _ := heap.Pop(&s.queue).(job)
		p.turn = append(p.turn[:i], p.turn[i+1:]...)
		if len(s.queue) > 0 {
			p.turn = append(p.turn, s) // others first
		} else {
			s.queue = nil // it may have been that of a storm
		}
		p.launch(s, j.do)
	}
}

func (p *pool) launch(s *share, do func()) {
	p.waiting--
	p.running++
	s.running++
	p.loop.Go(func() {
		do()
		p.loop.Post(func() { p.done(s) })
	})
}

func (p *pool) done(s *share) {
	p.running--
	s.running--
	if s.running == 0 && len(s.queue) == 0 && s.meter.full(time.Now()) {
		delete(p.stores, s.store)
	}
	p.start()
}

func (p *pool) idle() bool { return p.running == 0 && p.waiting == 0 }

// withdraw takes back a mail store's jobs that have not started.
func (p *pool) withdraw(store string) {
	s := p.stores[store]
	if s == nil || len(s.queue) == 0 {
		return
	}
	left := s.queue
	s.queue = nil
	p.turn = slices.DeleteFunc(p.turn, func(other *share) bool { return other == s })
	p.waiting -= len(left)
	for _, j := range left {
		j.back()
	}
}

// abandon forgets the jobs that have not started.
func (p *pool) abandon() {
	p.turn, p.waiting, p.wakeAt = nil, 0, time.Time{}
	for _, s := range p.stores {
		s.queue = nil
	}
}

// queue holds a mail store's waiting jobs, the one to start next first.
type queue []job

// Len, Less, Swap, Push and Pop implement [heap.Interface].
func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	if q[i].since != q[j].since {
		return q[i].since < q[j].since
	}
	return q[i].number < q[j].number
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }

// Push implements [heap.Interface].
func (q *queue) Push(x any) {
	j, _ := x.(job)
	*q = append(*q, j)
}

// Pop implements [heap.Interface].
func (q *queue) Pop() any {
	last := len(*q) - 1
	j := (*q)[last]
	(*q)[last] = job{}
	*q = (*q)[:last]
	return j
}
