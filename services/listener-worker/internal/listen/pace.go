// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"cmp"
	"math/rand/v2"
	"time"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
)

const (
	defaultPerSecond = 1000
	defaultAtOnce    = 256
	// saved is how much of its pace a mail store may have saved up while nothing was
	// opened there: the first of a take-over need not wait.
	saved = time.Second
)

// pace is what a mail store takes of all workers together. Zero values are no limit.
type pace struct {
	perSecond uint32 // connections opened in a second
	atOnce    uint32 // connections being opened
}

// paceOf is the pace a mail store has in the configuration.
func paceOf(store *mailv1.MailStore) pace {
	return pace{
		perSecond: cmp.Or(store.GetConnectsPerSecond(), defaultPerSecond),
		atOnce:    cmp.Or(store.GetConnectsAtOnce(), defaultAtOnce),
	}
}

// meter holds one worker to its part of a pace. Each start costs a time that is drawn,
// anything up to twice the mean, so that workers which begin together do not go on in
// step; what is paid for may lie as far ahead as could have been saved.
type meter struct {
	pace pace
	paid time.Time     // until when the starts so far have used up the pace
	cost time.Duration // of the next one
	due  bool          // the cost is drawn
}

// begin is called when something waits again: of what was not used before, saved is
// there.
func (m *meter) begin(now time.Time) {
	if m.paid.Before(now) {
		m.paid = now
	}
}

// next is when the next start may be.
func (m *meter) next(workers int) time.Time {
	if !m.due && m.pace.perSecond > 0 {
		m.cost = jitter(2 * time.Second * time.Duration(workers) / time.Duration(m.pace.perSecond))
	}
	m.due = true
	return m.paid.Add(m.cost - saved)
}

// take pays for a start. What was due before more than can be saved, or than it costs,
// is lost.
func (m *meter) take(now time.Time) {
	m.begin(now.Add(min(saved-m.cost, 0)))
	m.paid = m.paid.Add(m.cost)
	m.cost, m.due = 0, false
}

// full tells whether everything that can be saved is.
func (m *meter) full(now time.Time) bool { return !m.paid.After(now) }

// atOnce is how many may run at once: no more than most, and one at least.
func (m *meter) atOnce(most, workers int) int {
	if m.pace.atOnce == 0 {
		return most
	}
	return min(most, max(int(m.pace.atOnce)/workers, 1))
}

// jitter is full jitter: anything from nothing to all of d.
func jitter(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return rand.N(d)
}
