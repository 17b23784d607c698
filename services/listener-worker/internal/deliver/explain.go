// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deliver

import (
	"context"
	"time"

	"mailpush.internal/services/listener-worker/internal/deliver/pump"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// Explanation is what the deliveries of one user wait for.
type Explanation struct {
	Lanes []ExplainedLane
	// UncommittedSince is since when the registry takes no cursors, of anybody; zero while it
	// does.
	UncommittedSince time.Time
}

// ExplainedLane is how far a subscription has been served in one folder, and what stands in
// its way.
type ExplainedLane struct {
	Status
	pump.Explanation

	// OriginDownSince is since when the endpoint's origin is out of order, and OriginReason
	// what was met there last; zero while it is in order.
	OriginDownSince time.Time
	OriginReason    string
}

// Explain tells all there is to know of a user's deliveries. It returns early, with an
// error, when ctx or the loop ends.
func (l *Loop) Explain(ctx context.Context, user mailbox.User) (Explanation, error) {
	answer := make(chan Explanation, 1)
	l.loop.Post(func() { answer <- l.explain(user) })
	select {
	case found := <-answer:
		return found, nil
	case <-l.stopped:
		return Explanation{}, context.Canceled
	case <-ctx.Done():
		return Explanation{}, context.Cause(ctx)
	}
}

func (l *Loop) explain(user mailbox.User) Explanation {
	var out Explanation
	if l.commit.failures > 0 {
		out.UncommittedSince = l.commit.since
	}
	b := l.boxes[user]
	if b == nil {
		return out
	}
	now := time.Now()
	for _, lane := range b.lanes {
		explained := ExplainedLane{Status: lane.status(now), Explanation: lane.pump.Explain(now)}
		if lasts, reason := lane.Origin().Outage(now); lasts > 0 {
			explained.OriginDownSince, explained.OriginReason = now.Add(-lasts), reason
		}
		out.Lanes = append(out.Lanes, explained)
	}
	return out
}
