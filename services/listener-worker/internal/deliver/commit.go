// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deliver

import (
	"context"
	"maps"
	"time"

	"mailpush.internal/pkg/backoff"

	"mailpush.internal/pkg/hold"
	"mailpush.internal/services/listener-worker/internal/deliver/pump"
	"mailpush.internal/services/listener-worker/internal/mailbox"
	"mailpush.internal/services/listener-worker/internal/transport"
)

// MaxCursors is how many cursors and dead letters one group holds, give or take the
// dead letters of one cursor.
const MaxCursors = 5000

const commitTimeout = 10 * time.Second // for a group

// committer gathers cursors and stores them in groups, one group at a time. Only
// the newest cursor of a (subscription, folder) is kept, with all that was stepped over.
type committer struct {
	store    Registry
	waiting  rows
	inFlight rows // nil when none is
	at       time.Time
	failures int
	since    time.Time // since when something has been waiting; zero when nothing is
}

func newCommitter(store Registry) *committer { return &committer{store: store, waiting: make(rows)} }

// due tells whether a group should be stored now.
func (c *committer) due(now time.Time) bool {
	at, waits := c.next()
	return waits && !at.After(now)
}

// next is when the next group is due.
func (c *committer) next() (time.Time, bool) {
	return c.at, c.inFlight == nil && len(c.waiting) > 0
}

// stalled tells whether cursors have been waiting for longer than the bound.
func (c *committer) stalled(now time.Time, bound time.Duration) bool {
	return !c.since.IsZero() && now.Sub(c.since) > bound
}

// take takes out a group of what is waiting, small enough to be stored in time. All
// of it could be more than the registry manages, time and again: what has come together
// while it was away, of every worker at once.
func (c *committer) take() rows {
	c.inFlight = make(rows, min(len(c.waiting), MaxCursors))
	room := MaxCursors
	for at, e := range c.waiting {
		if room <= 0 {
			break
		}
		c.inFlight[at] = e
		delete(c.waiting, at)
		room -= 1 + len(e.letters)
	}
	if len(c.waiting) == 0 {
		c.waiting = make(rows) // a map keeps the room of a whole take-over
	}
	return c.inFlight
}

// stored is the end of a group that was begun at some time. Without leftBehind, all
// that waits now has come since.
func (c *committer) stored(began time.Time, leftBehind bool) {
	c.failures = 0
	switch {
	case len(c.waiting) == 0:
		c.since = time.Time{}
	case !leftBehind:
		c.since = began
	}
}

// latest is the newest cursor known of a row: one that has yet to be stored, or else
// the stored one. What came before a replay does not count.
func (c *committer) latest(at row, subscription *transport.Subscription) mailbox.Cursor {
	for _, group := range []rows{c.waiting, c.inFlight} {
		if e, ok := group[at]; ok && e.replay >= subscription.Replay {
			return e.cursor
		}
	}
	return storedCursor(subscription, at.folder)
}

// supersede drops what is waiting for a row, because of a replay. What is in flight
// will not be put back.
func (c *committer) supersede(at row) {
	delete(c.waiting, at)
	delete(c.inFlight, at)
	c.rest()
}

// forget drops what is waiting for the claims.
func (c *committer) forget(claims claimSet) {
	maps.DeleteFunc(c.waiting, func(at row, _ entry) bool { return claims[at.claim] })
	c.rest()
}

// rest notes when there is nothing left to store.
func (c *committer) rest() {
	if len(c.waiting) == 0 && c.inFlight == nil {
		c.since = time.Time{}
	}
}

// holds tells whether something of a claim has yet to be stored.
func (c *committer) holds(claims claimSet) bool {
	for _, group := range []rows{c.waiting, c.inFlight} {
		for at := range group {
			if claims[at.claim] {
				return true
			}
		}
	}
	return false
}

// addCursor has a lane's cursor stored with the next group, together with what was
// stepped over on the way there.
func (l *Loop) addCursor(lane *lane, commit pump.Commit, letters []DeadLetter) {
	c, now := l.commit, time.Now()
	if len(c.waiting) == 0 {
		c.at = later(c.at, now.Add(l.cfg.CommitEvery))
	}
	if c.since.IsZero() {
		c.since = now
	}
	at := row{lane.box.claim, lane.subscription.ID, lane.folder}
	e := entry{commit.Cursor, lane.subscription.Replay, commit.Rewind, commit.ResetFrom, letters}
	if before, waits := c.waiting[at]; waits {
		e = e.over(before)
	}
	c.waiting[at] = e
	l.metrics.served(commit, letters)
	if len(c.waiting) >= l.cfg.CommitRows && c.failures == 0 {
		c.at = now
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// startCommit stores a group of what is waiting.
func (l *Loop) startCommit() {
	c := l.commit
	groups := c.take().byClaim()
	began, leftBehind := time.Now(), len(c.waiting) > 0
	l.beside(func() {
		ctx, cancel := context.WithTimeout(l.ctx, commitTimeout)
		defer cancel()
		refused, err := c.store.CommitCursors(ctx, groups)
		l.loop.Post(func() { l.committed(began, leftBehind, refused, err) })
	})
}

// committed takes in the registry's answer.
func (l *Loop) committed(began time.Time, leftBehind bool, refused []hold.Claim, err error) {
	c := l.commit
	group := c.inFlight
	c.inFlight = nil
	if err != nil {
		l.commitFailed(group, err)
		return
	}
	c.stored(began, leftBehind)
	l.storing.Worked(l.ctx)
	l.metrics.commits.Add(float64(len(group)))
	if len(refused) > 0 {
		l.fenced(refused)
	}
	l.settleDrains()
}

// fenced drops claims that the registry has refused.
func (l *Loop) fenced(claims []hold.Claim) {
	l.cfg.Log.WarnContext(l.ctx, "shards were taken over by a newer owner", "shards", len(claims))
	l.drop(setOf(claims))
	go l.cfg.Refused(claims)
}

// commitFailed puts a group back and tries again later. Delivery goes on for a
// while: what is sent meanwhile would be sent again after a crash, with the same ids.
func (l *Loop) commitFailed(group rows, err error) {
	c := l.commit
	for at, e := range group {
		if newer, waits := c.waiting[at]; waits {
			e = newer.over(e)
		}
		c.waiting[at] = e
	}
	delay := backoff.Calls().Ceiling(c.failures)
	c.failures++
	c.at = time.Now().Add(delay)
	l.storing.Failed(l.ctx, err, "cursors", len(c.waiting))
}
