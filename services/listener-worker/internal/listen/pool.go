// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package listen

import "sync"

// pool runs blocking tasks, so many at once in all and so many per mail store,
// so that a store that hangs holds up only itself. Tasks of a store start in
// order, stores take turns. All methods but the tasks run on the loop.
type pool struct {
	total, perStore int
	finished        func(func()) // gets back onto the loop
	tasks           *sync.WaitGroup

	running int
	waiting int
	stores  map[string]*lane
	turn    []*lane // the stores with waiting tasks
}

// lane is one mail store's share of a pool.
type lane struct {
	store   string
	running int
	queue   []func()
}

func newPool(total int, tasks *sync.WaitGroup, finished func(func())) *pool {
	return &pool{
		total: total, perStore: max(total/2, 1),
		finished: finished, tasks: tasks, stores: make(map[string]*lane),
	}
}

// run has task called on a goroutine of its own, as soon as there is room.
func (p *pool) run(store string, task func()) {
	l := p.stores[store]
	if l == nil {
		l = &lane{store: store}
		p.stores[store] = l
	}
	if len(l.queue) == 0 {
		p.turn = append(p.turn, l)
	}
	l.queue = append(l.queue, task)
	p.waiting++
	p.start()
}

// start starts what there is room for.
func (p *pool) start() {
	for i := 0; i < len(p.turn) && p.running < p.total; {
		l := p.turn[i]
		if l.running >= p.perStore {
			i++
			continue
		}
		task := l.queue[0]
		l.queue[0] = nil
		l.queue = l.queue[1:]
		p.turn = append(p.turn[:i], p.turn[i+1:]...)
		if len(l.queue) > 0 {
			p.turn = append(p.turn, l) // others first
		}
		p.launch(l, task)
	}
}

func (p *pool) launch(l *lane, task func()) {
	p.waiting--
	p.running++
	l.running++
	p.tasks.Go(func() {
		task()
		p.finished(func() { p.done(l) })
	})
}

func (p *pool) done(l *lane) {
	p.running--
	l.running--
	if l.running == 0 && len(l.queue) == 0 {
		delete(p.stores, l.store)
	}
	p.start()
}

// abandon forgets the tasks that have not started.
func (p *pool) abandon() {
	p.turn, p.waiting = nil, 0
	for _, l := range p.stores {
		l.queue = nil
	}
}
