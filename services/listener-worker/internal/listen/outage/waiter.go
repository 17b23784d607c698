// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package outage

import (
	"time"

	"mailpush.internal/pkg/backoff"
	"mailpush.internal/services/listener-worker/internal/loop"
	"mailpush.internal/services/listener-worker/internal/moment"
)

// kind is why a listener waits.
type kind uint8

const (
	ofEither kind = iota
	ofStore
	ofLoss
)

// Waiter is a listener that has failed, until it is served.
type Waiter[T any] struct {
	// Of is the listener.
	Of T
	// Since is since when it is neither served nor has tried.
	Since moment.Moment

	loop.Timer // while it rests

	triedAt moment.Moment // when the attempt began that failed
	kind    kind
	awaits  bool // the mail store alone, without a time of its own
	freed   bool // it may try because another was served
	vain    int  // how often it did so in vain
	tries   int  // that failed
	place   int  // among those that are ready, counted from one
}

// Freed tells whether it was let go because others were served.
func (w *Waiter[T]) Freed() bool { return w.freed }

// ByLoss tells whether it waits because what was open was lost.
func (w *Waiter[T]) ByLoss() bool { return w.kind == ofLoss }

func (w *Waiter[T]) waits() bool { return w.place > 0 || w.Waits() }

func (s *Store[T]) add(w *Waiter[T]) {
	s.ready = append(s.ready, w)
	w.place = len(s.ready)
	if w.awaits {
		s.askable++
	}
}

func (s *Store[T]) drop(w *Waiter[T]) {
	if w.place == 0 {
		return
	}
	last := len(s.ready) - 1
	s.ready[w.place-1] = s.ready[last]
	s.ready[w.place-1].place = w.place
	s.ready[last] = nil
	s.ready = s.ready[:last]
	w.place = 0
	if w.awaits {
		s.askable--
	}
}

// Pauses say how long to wait.
type Pauses struct {
	// Min and Most bound the growing pause between two who find out about a mail store, and
	// how long one waits that has failed where others are served. Most also bounds how late
	// it is noticed that a mail store serves again.
	Min, Most time.Duration
	// Jitter returns a random duration from 0 up to, not including, its argument.
	Jitter func(time.Duration) time.Duration
}

// draw is a pause after so many before this one.
func (p *Pauses) draw(pauses int) time.Duration {
	return p.Jitter(backoff.Backoff{Min: p.Min, Max: p.Most}.Ceiling(pauses))
}
