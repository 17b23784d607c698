// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package owner

import (
	"context"
	"sync"
	"time"

	"mailpush.internal/pkg/fault"
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
func (t *tenure) end() bool {
	deadline := time.Now().Add(t.cfg.DrainFor)
	t.handOver(deadline.Add(-t.cfg.DrainFor / stopShare))
	return !t.lost() && t.stop(deadline)
}

// handOver has the leader move the shards to other workers while they run on here:
// each listener is dark only between its own batch's release and its start elsewhere.
// It returns when the leader has moved everything, when there is nobody to move
// anything to, and at the latest when it takes too long.
func (t *tenure) handOver(end time.Time) {
	ctx, cancel := context.WithDeadline(t.ctx, end)
	defer cancel()
	t.work.Go(func() {
		if !t.askRelief() {
			cancel()
		}
	})
	var quiet *time.Timer
	quiet = time.AfterFunc(handOverQuiet, func() {
		t.post(func() {
			if t.machine.Progress().Draining == 0 {
				cancel()
			}
			quiet.Reset(handOverQuiet) // requests in flight take their time
		})
	})
	defer quiet.Stop()
	for before := t.machine.Progress(); before.Left > 0 && t.turn(ctx.Done()); {
		if now := t.machine.Progress(); now != before {
			before = now
			quiet.Reset(handOverQuiet)
		}
	}
}

// askRelief tells the leader that this worker drains, if there is anybody to take
// its shards.
func (t *tenure) askRelief() bool {
	ctx, cancel := context.WithTimeout(t.ctx, reliefTimeout)
	defer cancel()
	others, err := t.cluster.Relief(ctx, t.member.ID())
	if err == nil && others {
		err = t.SetDraining(ctx, true)
	}
	if err != nil {
		t.cfg.Log.WarnContext(ctx, "shards cannot be handed over", "worker", t.member.ID(), "error", err)
	}
	return err == nil && others
}
