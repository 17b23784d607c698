// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package outage knows of one mail store whether it serves anybody, who waits until it
// does, and who may try when. It does no I/O and reads no clock.
//
// Invariants: while nobody is served, a few try, one at a time, and never is there nobody
// who will; when one is served, all may try who have not since, whom it can concern. Whoever
// then fails all the same waits by itself, a while that grows: what one mailbox meets alone
// is not tried each time that another is served. How fast those that may try do so is for
// the mail store's pace to say.
package outage

import (
	"cmp"
	"slices"
	"time"

	"mailpush.internal/services/listener-worker/internal/loop"
	"mailpush.internal/services/listener-worker/internal/mailbox"
	"mailpush.internal/services/listener-worker/internal/moment"
)

const (
	// certain is how many have to fail in a row before a mail store counts as down, and
	// nobody but those who find out tries any more.
	certain = 8
	// suspected is how many, before what was lost meanwhile counts as lost to the outage.
	suspected = 3
	// before is how much sooner than the first that fail connections may have been lost.
	before = 5 * time.Second
)

// Store is what is known of one mail store, and who waits for it.
type Store[T any] struct {
	pauses *Pauses

	ready    []*Waiter[T] // in no order
	resting  loop.Timers  // those that wait by themselves first
	awaiting int          // of both, those that have no time of their own
	askable  int          // of those, the ones that are ready
	well     int          // listeners that are served

	failed   int // attempts in a row, by the fault of the mail store or of either
	broken   int // of them, those in a row that nobody would have escaped
	said     *mailbox.Failure
	servedAt moment.Moment // when somebody was, last
	healedAt moment.Moment // when somebody was who had failed before
	brokenAt moment.Moment // when the mail store was seen to serve nobody, last

	losses   int // within a while
	lossesAt moment.Moment

	probes  int // without success
	probeAt moment.Moment
	hintAt  moment.Moment // when a hint may have the next one try
}

// New makes a store of which nothing is known.
func New[T any](pauses *Pauses) *Store[T] { return &Store[T]{pauses: pauses} }

// Well counts listeners that have come to be served, or have ceased to be.
func (s *Store[T]) Well(change int) { s.well += change }

// Listening is how many listeners are served.
func (s *Store[T]) Listening() int { return s.well }

// Down tells whether the mail store serves nobody. Then only those try that are let go.
func (s *Store[T]) Down() bool {
	return s.broken >= certain || s.failed >= certain && s.well == 0
}

// Said is how the last attempt has failed; nil when it has not.
func (s *Store[T]) Said() *mailbox.Failure { return s.said }

// Awaiting is how many wait for the mail store alone.
func (s *Store[T]) Awaiting() int { return s.awaiting }

// Failed takes in that an attempt failed that had begun at some time. It tells whether the
// listener waits for the mail store alone; else it also tries when it sees fit. One whose
// own fault it was is not waiting here.
func (s *Store[T]) Failed(w *Waiter[T], failure *mailbox.Failure, began, now time.Time) (awaits bool) {
	s.failed++
	s.said = failure
	w.kind = ofEither
	if failure.Whose() == mailbox.BlameStore {
		w.kind = ofStore
		s.broken++
	} else {
		s.broken = 0
	}
	if s.broken >= suspected || s.well == 0 {
		s.brokenAt = moment.Of(now)
	}
	if w.freed {
		w.vain++
	}
	w.tries++
	// Who is one too many is told to come less often.
	return s.wait(w, failure.Class != mailbox.ClassLimit && (w.kind == ofStore || s.well == 0), began, now)
}

// Held takes in that a listener is kept from trying, for the mail store is down.
func (s *Store[T]) Held(w *Waiter[T], now time.Time) {
	w.kind = ofStore
	w.tries++
	s.wait(w, true, now, now)
}

// Lost takes in that what was open is not any more. It may have been the mailbox's fault,
// unless the mail store turns out to be down, or many are lost at once; the listener tries
// when it sees fit.
func (s *Store[T]) Lost(w *Waiter[T], now time.Time) {
	w.kind = ofLoss
	at := moment.Of(now)
	if at > s.lossesAt.Add(before) {
		s.losses, s.lossesAt = 0, at
	}
	if s.losses++; s.losses >= certain && s.losses >= s.well/4 {
		s.brokenAt = at
	}
	s.wait(w, false, now, now)
}

func (s *Store[T]) wait(w *Waiter[T], awaits bool, began, now time.Time) bool {
	w.triedAt, w.awaits, w.freed = moment.Of(began), awaits, false
	if awaits {
		if s.awaiting++; s.awaiting == 1 {
			s.probeAt = max(s.probeAt, moment.Of(now.Add(s.pauses.draw(s.probes))))
		}
	}
	switch {
	case w.vain > 0 && w.kind == ofStore: // it says nothing of this mailbox
		s.resting.Set(w, now.Add(s.pauses.draw(min(w.vain-1, 1))))
	case w.vain > 0:
		s.resting.Set(w, now.Add(s.pauses.draw(w.vain-1)))
	case w.kind != ofLoss && s.concerns(w): // others were served while it was trying
		s.resting.Set(w, now)
	default:
		s.add(w)
	}
	return awaits
}

// Begins takes a listener out that tries, or has ended.
func (s *Store[T]) Begins(w *Waiter[T]) {
	if !w.waits() {
		return
	}
	s.resting.Remove(w)
	s.drop(w)
	if w.awaits {
		s.awaiting--
	}
	w.awaits = false
}

// Served takes in that somebody was, w if it had failed before, and returns those that may
// try now, the longest unserved first. It also is for a credential that was refused: so the
// mail store answers.
func (s *Store[T]) Served(w *Waiter[T], now time.Time) []*Waiter[T] {
	s.Forget()
	s.servedAt = moment.Of(now)
	if w != nil && w.tries > 0 {
		s.healedAt = s.servedAt
	}
	return s.free()
}

// Forget gives a mail store that was down the benefit of the doubt.
func (s *Store[T]) Forget() { s.failed, s.broken, s.said, s.probes = 0, 0, nil, 0 }

// free returns those to whom it means something that others were served.
func (s *Store[T]) free() []*Waiter[T] {
	var all []*Waiter[T]
	for _, w := range s.ready {
		if s.concerns(w) {
			all = append(all, w)
		}
	}
	for _, w := range all {
		s.Begins(w)
		w.freed = true
	}
	slices.SortFunc(all, func(a, b *Waiter[T]) int { return cmp.Compare(a.Since, b.Since) })
	return all
}

// concerns tells whether others were served since the listener tried, and that says
// something of how it would fare now.
func (s *Store[T]) concerns(w *Waiter[T]) bool {
	switch {
	case w.kind == ofLoss:
		return s.servedAt > w.triedAt && s.brokenAt.Add(before) >= w.triedAt
	case w.kind == ofEither && w.vain > 0: // only who had failed in the same way
		return s.healedAt > w.triedAt
	default:
		return s.servedAt > w.triedAt
	}
}

// Due returns those whose time it is: freed have rested and may try, for others were served
// meanwhile; probe finds out whether the mail store serves anybody, nil for nobody.
func (s *Store[T]) Due(now time.Time) (freed []*Waiter[T], probe *Waiter[T]) {
	rested := false
	for of := s.resting.PopDue(now); of != nil; of = s.resting.PopDue(now) {
		if w, ok := of.(*Waiter[T]); ok {
			s.add(w)
			rested = true
		}
	}
	if rested {
		freed = s.free()
	}
	if at := moment.Of(now); s.askable > 0 && at >= s.probeAt {
		probe = s.longest()
		s.Begins(probe)
		s.probes++
		s.probeAt = at.Add(s.pauses.draw(s.probes))
	}
	return freed, probe
}

// longest is who has not tried for longest, of those that wait for the mail store.
func (s *Store[T]) longest() (found *Waiter[T]) {
	for _, w := range s.ready {
		if w.awaits && (found == nil || w.Since < found.Since) {
			found = w
		}
	}
	return found
}

// Next is when Due has to be called at the latest; zero for never.
func (s *Store[T]) Next(now time.Time) time.Time {
	next := s.resting.Next(now)
	if s.askable > 0 {
		next = loop.Sooner(next, s.probeAt.Time(now))
	}
	return next
}

// Hinted tells whether a listener may try because somebody has spoken of new mail: the mail
// store lives, it seems. Many may speak, and few are let go for it.
func (s *Store[T]) Hinted(w *Waiter[T], now time.Time) bool {
	at := moment.Of(now)
	if !w.awaits || w.Waits() || at < s.hintAt || at < w.triedAt.Add(s.pauses.Min) {
		return false
	}
	s.hintAt = at.Add(s.pauses.Min)
	return true
}
