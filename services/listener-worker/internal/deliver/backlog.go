// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deliver

import (
	"sync/atomic"
	"time"

	"mailpush.internal/services/listener-worker/internal/deliver/internal/fifo"
	"mailpush.internal/services/listener-worker/internal/deliver/pump"
	"mailpush.internal/services/listener-worker/internal/moment"
)

const (
	// surveyEvery is how often the backlog is summed up at most.
	surveyEvery = 5 * time.Second
	// lateAfter is how long a mail may wait before its subscription counts as late. Mails
	// gather for half a minute at most.
	lateAfter = 5 * time.Minute
)

// backlog are the lanes with something pending, and what they sum up to.
type backlog struct {
	lanes    fifo.List[*lane]
	changed  bool      // since the last survey
	surveyed time.Time // when that was

	// What follows is read by metrics at any time.
	sum, most atomic.Uint64 // pending UIDs
	late      atomic.Uint64 // lanes that wait for longer than lateAfter
	oldest    atomic.Int64  // when the oldest was noticed, UNIX time in nanoseconds; zero: nothing is pending
}

// observe notes whether a lane has something pending.
func (l *Loop) observe(lane *lane, now time.Time) {
	status := lane.pump.Status(now)
	if status.Lag == 0 && status.OldestPending.IsZero() || lane.gone {
		l.caughtUp(lane)
		return
	}
	if lane.behind == nil {
		lane.behind = l.backlog.lanes.Push(lane)
	}
	since, consents := moment.Of(status.OldestPending), status.State != pump.Unconfirmed
	if lane.lag != status.Lag || lane.since != since || lane.consents != consents {
		lane.lag, lane.since, lane.consents = status.Lag, since, consents
		l.backlog.changed = true
	}
}

// caughtUp notes that a lane has nothing pending.
func (l *Loop) caughtUp(lane *lane) {
	if lane.behind != nil {
		l.backlog.lanes.Remove(lane.behind)
		lane.behind, lane.lag, lane.since = nil, 0, 0
		l.backlog.changed = true
	}
}

// next is when a survey is due. Lanes become late although nothing changes.
func (b *backlog) next() (time.Time, bool) {
	return b.surveyed.Add(surveyEvery), b.changed || !b.lanes.Empty()
}

// survey sums up the backlog. It looks at the lanes that have one, not at all.
func (b *backlog) survey(now time.Time) {
	if at, waits := b.next(); !waits || now.Before(at) {
		return
	}
	var sum, most, late uint64
	var oldest moment.Moment
	due := moment.Of(now.Add(-lateAfter))
	for e := b.lanes.First(); e != nil; e = e.Next() {
		sum += uint64(e.Value.lag)
		most = max(most, uint64(e.Value.lag))
		if since := e.Value.since; !since.IsZero() && (oldest.IsZero() || since < oldest) {
			oldest = since
		}
		if e.Value.late(due) {
			late++
		}
	}
	b.changed, b.surveyed = false, now
	b.sum.Store(sum)
	b.most.Store(most)
	b.late.Store(late)
	if oldest.IsZero() {
		b.oldest.Store(0)
		return
	}
	b.oldest.Store(oldest.Time(now).UnixNano())
}

// late tells whether a lane has a mail that should have been accepted before. Whoever has
// not said that it wants pushes is owed none.
func (lane *lane) late(due moment.Moment) bool {
	return lane.consents && !lane.since.IsZero() && lane.since < due
}

// age is how old the oldest of the pending mails is, in seconds.
func (b *backlog) age() float64 {
	if oldest := b.oldest.Load(); oldest != 0 {
		return time.Since(time.Unix(0, oldest)).Seconds()
	}
	return 0
}
