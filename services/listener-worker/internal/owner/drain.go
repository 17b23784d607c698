// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package owner

import (
	"context"
	"sync"
	"time"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/services/listener-worker/internal/loop"
)

const (
	// reliefTimeout bounds the question for others and the word to the leader.
	reliefTimeout = 2 * time.Second
	// handOverQuiet is how long a hand-over may show no progress: the leader collects
	// changes of membership for a third of a second before it acts.
	handOverQuiet = 2 * time.Second
	// stopShare: one part in so many of the time to give everything up is kept for
	// what nobody has taken over.
	stopShare = 4
)

// will is what the process wants, whatever id it is registered under: one that was
// told to drain still drains after it has lost a membership.
type will struct {
	mu       sync.Mutex
	draining bool
	member   Member // nil without a membership
}

// SetDraining says whether this worker wants its shards to be moved to others. It
// holds for the memberships to come, too; without one now it is no error. Saying it
// twice changes nothing.
func (o *Owner) SetDraining(ctx context.Context, draining bool) error {
	o.will.mu.Lock()
	defer o.will.mu.Unlock()
	o.will.draining = draining
	if o.will.member == nil {
		return nil
	}
	if err := o.will.member.Drain(ctx, draining); err != nil {
		return fault.Wrap(fault.Unavailable, err, "the worker could not tell the cluster; try again")
	}
	return nil
}

// join becomes a member that drains if the process is to.
func (o *Owner) join(ctx context.Context) (Member, error) {
	o.will.mu.Lock()
	defer o.will.mu.Unlock()
	member, err := o.cluster.Join(ctx, o.will.draining)
	if err == nil {
		o.will.member = member
	}
	return member, err
}

// forget ends what SetDraining has to tell a membership.
func (o *Owner) forget() {
	o.will.mu.Lock()
	defer o.will.mu.Unlock()
	o.will.member = nil
}

// end hands over what others can take, gives up the rest and leaves the cluster. It
// returns false when the membership was lost before that.
func (m *membership) end() bool {
	deadline := time.Now().Add(m.cfg.DrainFor)
	m.handOver(deadline.Add(-m.cfg.DrainFor / stopShare))
	return !m.lost() && m.stop(deadline)
}

// handOver has the leader move the shards to other workers while they run on here:
// each listener is dark only between its own batch's release and its start elsewhere.
// It returns when the leader has moved everything, when there is nobody to move
// anything to, and at the latest when it takes too long.
func (m *membership) handOver(end time.Time) {
	ctx, cancel := context.WithDeadline(m.ctx, end)
	defer cancel()
	m.loop.Go(func() {
		if !m.askRelief() {
			cancel()
		}
	})
	before, quietAt := m.machine.Progress(), time.Now().Add(handOverQuiet)
	m.serve(ctx, func(now time.Time) time.Time {
		next, progress := m.round(now), m.machine.Progress()
		switch {
		case progress.Left == 0:
			cancel()
		case progress != before, progress.Draining > 0: // requests in flight take their time
			before, quietAt = progress, now.Add(handOverQuiet)
		case !now.Before(quietAt):
			cancel()
		}
		return loop.Sooner(next, quietAt)
	})
}

// askRelief tells the leader that this worker drains, if there is anybody to take
// its shards.
func (m *membership) askRelief() bool {
	ctx, cancel := context.WithTimeout(m.ctx, reliefTimeout)
	defer cancel()
	others, err := m.cluster.Relief(ctx, m.member.ID())
	if err == nil && others {
		err = m.SetDraining(ctx, true)
	}
	if err != nil {
		m.cfg.Log.WarnContext(ctx, "shards cannot be handed over", "worker", m.member.ID(), "error", err)
	}
	return err == nil && others
}
