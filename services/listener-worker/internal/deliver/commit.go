// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deliver

import (
	"context"
	"maps"
	"time"

	"mailpush.internal/services/listener-worker/internal/pump"
)

const (
	commitTimeout  = 10 * time.Second
	minCommitDelay = 250 * time.Millisecond // after a commit that could not be made; doubled
	maxCommitDelay = 5 * time.Second
)

// committer gathers cursors and stores them in groups, one group at a time. Only
// the newest cursor of a (subscription, folder) is kept.
type committer struct {
	store    Registry
	waiting  rows
	inFlight rows // nil when none is
	at       time.Time
	failures int
	since    time.Time // since when something has been waiting; zero when nothing is
}

type rows map[row]pump.Cursor

type row struct {
	claim                Claim
	subscription, folder string
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

// latest is the newest cursor known of a (subscription, folder): one that has yet to
// be stored, or else the stored one.
func (c *committer) latest(claim Claim, subscription, folder string, stored pump.Cursor) pump.Cursor {
	at := row{claim, subscription, folder}
	if cursor, ok := c.waiting[at]; ok {
		return cursor
	}
	if cursor, ok := c.inFlight[at]; ok {
		return cursor
	}
	return stored
}

// forget drops what is waiting for the claims.
func (c *committer) forget(claims claimSet) {
	maps.DeleteFunc(c.waiting, func(at row, _ pump.Cursor) bool { return claims[at.claim] })
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

// addCursor has a lane's cursor stored with the next group.
func (l *Loop) addCursor(lane *lane, cursor pump.Cursor) {
	c, now := l.commit, time.Now()
	if len(c.waiting) == 0 {
		c.at = later(c.at, now.Add(l.cfg.CommitEvery))
	}
	if c.since.IsZero() {
		c.since = now
	}
	c.waiting[row{lane.box.claim, lane.subscription.GetId(), lane.folder}] = cursor
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

// startCommit stores what is waiting.
func (l *Loop) startCommit() {
	c := l.commit
	c.inFlight, c.waiting = c.waiting, make(rows)
	began := time.Now()
	groups := make(map[Claim][]Cursor)
	for at, cursor := range c.inFlight {
		groups[at.claim] = append(groups[at.claim], Cursor{at.subscription, at.folder, cursor})
	}
	l.work.Go(func() {
		ctx, cancel := context.WithTimeout(l.ctx, commitTimeout)
		defer cancel()
		refused, err := c.store.CommitCursors(ctx, groups)
		l.post(func() { l.committed(began, refused, err) })
	})
}

// committed takes in the registry's answer.
func (l *Loop) committed(began time.Time, refused []Claim, err error) {
	c := l.commit
	group := c.inFlight
	c.inFlight = nil
	if err != nil {
		l.commitFailed(group, err)
		return
	}
	c.failures = 0
	c.since = time.Time{}
	if len(c.waiting) > 0 {
		c.since = began // no later than the oldest of them
	}
	l.metrics.commits.Add(float64(len(group)))
	if len(refused) > 0 {
		l.fenced(refused)
	}
	l.settleDrains()
}

// fenced drops claims that the registry has refused.
func (l *Loop) fenced(claims []Claim) {
	l.cfg.Log.WarnContext(l.ctx, "shards were taken over by a newer owner", "shards", len(claims))
	l.drop(setOf(claims))
	go l.cfg.Refused(claims)
}

// commitFailed puts a group back and tries again later. Delivery goes on for a
// while: what is sent meanwhile would be sent again after a crash, with the same ids.
func (l *Loop) commitFailed(group rows, err error) {
	c := l.commit
	for at, cursor := range group {
		if _, newer := c.waiting[at]; !newer {
			c.waiting[at] = cursor
		}
	}
	delay := min(minCommitDelay<<min(c.failures, 8), maxCommitDelay)
	c.failures++
	c.at = time.Now().Add(delay)
	l.cfg.Log.WarnContext(l.ctx, "cursors could not be stored", "cursors", len(c.waiting), "retry_in", delay, "error", err)
}
