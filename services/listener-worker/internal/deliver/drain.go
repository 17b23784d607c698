// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deliver

import (
	"context"
	"slices"
	"time"

	"mailpush.internal/pkg/hold"
)

// drain is a call of Drain that waits for its claims to come to rest.
type drain struct {
	claims   claimSet
	inFlight int // requests to wait for
	lanes    []*lane
	done     chan struct{}
}

// Drain takes the mailboxes of the claims out gently: nothing new is begun, requests in
// flight may end until ctx does, the cursors are stored and what endpoints have come to is
// told. After an error some may not be; the next owner then sends those mails again.
func (l *Loop) Drain(ctx context.Context, claims []hold.Claim) error {
	d := &drain{claims: setOf(claims), done: make(chan struct{})}
	l.loop.Post(func() { l.startDrain(d) })
	select {
	case <-d.done:
		return nil
	case <-l.stopped:
		return context.Canceled
	case <-ctx.Done():
		l.loop.Post(func() { l.endDrain(d) })
		return context.Cause(ctx)
	}
}

func (l *Loop) startDrain(d *drain) {
	l.drains = append(l.drains, d)
	for _, b := range l.boxes {
		if !d.claims[b.claim] {
			continue
		}
		for _, lane := range b.lanes {
			if lane.cancel != nil {
				lane.drain = d
				d.inFlight++
				d.lanes = append(d.lanes, lane)
			}
		}
		l.removeBox(b)
	}
	l.hurry(d)
}

// drained notes that a request has come back.
func (l *Loop) drained(lane *lane) {
	d := lane.drain
	lane.drain = nil
	d.inFlight--
	l.hurry(d)
}

// hurry stores the cursors at once when nothing more can come.
func (l *Loop) hurry(d *drain) {
	if d.inFlight == 0 && len(l.commit.waiting) > 0 && l.commit.failures == 0 {
		l.commit.at = time.Now()
	}
	if d.inFlight == 0 && len(l.reports.waiting) > 0 && l.reports.failures == 0 {
		l.reports.at = time.Now()
	}
	l.settleDrains()
}

// settleDrains ends the drains that have come to rest. One waits for another of the
// same claims: that has the requests in flight, when it came first.
func (l *Loop) settleDrains() {
	var resting []*drain
	for _, d := range l.drains {
		busy := slices.ContainsFunc(l.drains, func(other *drain) bool {
			return other.inFlight > 0 && d.shares(other)
		})
		if !busy && !l.commit.holds(d.claims) && !l.reports.holds(d.claims) {
			resting = append(resting, d)
		}
	}
	for _, d := range resting {
		close(d.done)
	}
	l.drains = slices.DeleteFunc(l.drains, func(d *drain) bool { return slices.Contains(resting, d) })
}

// shares tells whether a claim is in both.
func (d *drain) shares(other *drain) bool {
	for claim := range d.claims {
		if other.claims[claim] {
			return true
		}
	}
	return false
}

// endDrain stops waiting and cuts off what is still in flight.
func (l *Loop) endDrain(d *drain) {
	l.drains = slices.DeleteFunc(l.drains, func(other *drain) bool { return other == d })
	d.cut(func(lane *lane) bool {
		waits := lane.drain == d
		lane.drain = nil // what comes back late is not stored
		return waits
	})
	l.settleDrains() // others may have waited for the same
}

// cut cuts off the requests of some of the lanes that the drain waits for.
func (d *drain) cut(which func(*lane) bool) {
	for _, lane := range d.lanes {
		if lane.cancel != nil && lane.drain == d && which(lane) {
			lane.cancel()
		}
	}
}
