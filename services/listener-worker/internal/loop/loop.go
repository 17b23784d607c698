// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package loop is the event loop that listeners, deliveries and the owner of shards each
// run on: one goroutine that owns the state, and work beside it that comes back as an
// event. Invariant: events run one at a time, in the order they were posted, and whoever
// posts one never waits.
package loop

import (
	"context"
	"sync"
	"time"
)

// maxSpare is the longest queue whose memory is kept for the next one.
const maxSpare = 4096

// Loop is an event loop. Post and Go may be called from any goroutine, at any time.
// What is posted is bounded at its source: by what can be in flight, or to one word for
// each connection and state.
type Loop struct {
	mu    sync.Mutex
	queue []func()
	spare []func()
	wake  chan struct{}
	tasks sync.WaitGroup
}

// New makes a loop that keeps what is posted until Run.
func New() *Loop { return &Loop{wake: make(chan struct{}, 1)} }

// Post has an event run on the loop, after everything posted before.
func (l *Loop) Post(event func()) {
	l.mu.Lock()
	l.queue = append(l.queue, event)
	l.mu.Unlock()
	l.rouse()
}

func (l *Loop) rouse() {
	select {
	case l.wake <- struct{}{}:
	default: // the loop has yet to see the last one
	}
}

// Go runs what can block on a goroutine of its own; Wait waits for it.
func (l *Loop) Go(task func()) { l.tasks.Go(task) }

// Wait returns when everything that Go has started is over.
func (l *Loop) Wait() { l.tasks.Wait() }

// Run runs events until ctx ends. After some of them, and when it has asked to be woken,
// round does what is due at the given time and returns when it wants to be called at the
// latest; the zero time stands for never. Run may be called again after it has returned,
// and not twice at a time.
func (l *Loop) Run(ctx context.Context, round func(now time.Time) (next time.Time)) {
	alarm := time.NewTimer(0)
	defer alarm.Stop()
	for ctx.Err() == nil {
		l.Drain()
		if at := round(time.Now()); at.IsZero() {
			alarm.Stop()
		} else {
			alarm.Reset(time.Until(at))
		}
		select {
		case <-ctx.Done():
		case <-l.wake:
		case <-alarm.C:
		}
	}
}

// Drain runs what is posted by now, not what that posts in turn, and returns how many
// events those were. It is for Run, and for whoever ends a loop that does not run any
// more.
func (l *Loop) Drain() int {
	l.mu.Lock()
	batch := l.queue
	l.queue, l.spare = l.spare[:0], nil
	l.mu.Unlock()
	for i, event := range batch {
		batch[i] = nil
		event()
	}
	l.mu.Lock()
	if l.spare == nil && cap(batch) <= maxSpare {
		l.spare = batch[:0]
	}
	more := len(l.queue) > 0
	l.mu.Unlock()
	if more {
		l.rouse()
	}
	return len(batch)
}
