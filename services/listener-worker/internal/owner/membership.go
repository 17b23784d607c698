// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package owner

import (
	"context"
	"math/rand/v2"
	"time"

	"mailpush.internal/pkg/hold"
	"mailpush.internal/pkg/shard"
	clusterv1 "mailpush.internal/proto/gen/mailpush/cluster/v1"
	"mailpush.internal/services/listener-worker/internal/loop"
)

// membership is what lasts for one registration with the cluster. One goroutine, that of
// its loop, owns its state.
type membership struct {
	*Owner
	member Member
	ctx    context.Context //nolint:containedctx // the life of the membership, for what it starts
	loop   *loop.Loop

	machine  *hold.Machine // decides
	right    hold.Right    // as the machine knows it
	reloadAt time.Time     // when everything is to be read again
	shards   map[shard.ID]*running
	stores   map[string]store
	prints   prints
	suspensions

	rereading rereading // of everything, after the policy has changed
}

func newMembership(o *Owner, member Member) *membership {
	return &membership{
		Owner: o, member: member,
		loop:    loop.New(),
		machine: hold.New(rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))),
		shards:  make(map[shard.ID]*running),
		stores:  make(map[string]store),
		prints:  newPrints(),

		rereading: rereading{slice: policySlices},
	}
}

// run serves until the membership is lost or ctx ends.
func (m *membership) run(ctx context.Context) {
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer m.loop.Wait()
	defer cancel()
	m.ctx = life
	m.takeWants(m.member.Wants(life)) //nolint:contextcheck // m.ctx outlives ctx, so that the end is orderly
	m.takeRights()                    //nolint:contextcheck // likewise
	for _, backend := range m.cfg.Backends {
		m.watch(backend) //nolint:contextcheck // likewise
	}
	m.followPolicy() //nolint:contextcheck // likewise
	m.reloadAt = time.Now().Add(m.untilReload())
	m.serve(ctx, m.round)
	if m.lost() || !m.end() { //nolint:contextcheck // likewise
		m.abandon() //nolint:contextcheck // likewise
	}
}

// serve runs the loop until ctx ends or the membership is lost.
func (m *membership) serve(ctx context.Context, round func(time.Time) time.Time) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	m.loop.Go(func() {
		select {
		case <-m.member.Lost():
			cancel()
		case <-ctx.Done():
		}
	})
	m.loop.Run(ctx, round)
}

// round does what is due.
func (m *membership) round(now time.Time) time.Time {
	if !now.Before(m.reloadAt) {
		m.reloadAt = now.Add(m.untilReload())
		m.step(hold.Stale{})
	}
	if due := m.rereading.due(); !due.IsZero() && !now.Before(due) {
		m.readSlice(now)
	}
	if next := m.machine.Next(); !next.IsZero() && !now.Before(next) {
		m.step(hold.Tick{})
	}
	return loop.Sooner(m.reloadAt, loop.Sooner(m.rereading.due(), m.machine.Next()))
}

func (m *membership) untilReload() time.Duration {
	return m.cfg.ReloadMin + rand.N(m.cfg.ReloadMax-m.cfg.ReloadMin+1)
}

// takeWants takes in what the scheduler wants.
func (m *membership) takeWants(wants <-chan *clusterv1.Want) {
	m.loop.Go(func() {
		for {
			select {
			case want, open := <-wants:
				if !open {
					return // the loss of the membership follows
				}
				m.loop.Post(func() { m.step(hold.Wanted{Want: want}) })
			case <-m.ctx.Done():
				return
			}
		}
	})
}

// takeRights takes in that the right to act may be another: each step looks.
func (m *membership) takeRights() {
	m.loop.Go(func() {
		for {
			select {
			case <-m.member.RightChanged():
				m.loop.Post(func() { m.step(hold.Tick{}) })
			case <-m.ctx.Done():
				return
			}
		}
	})
}

// watch takes in what has changed of a backend's shards.
func (m *membership) watch(backend string) {
	changes := m.cluster.Changes(m.ctx, backend)
	m.loop.Go(func() {
		for changed := range changes {
			m.loop.Post(func() { m.step(changed) })
		}
	})
}

// lost tells whether the membership has ended.
func (m *membership) lost() bool {
	select {
	case <-m.member.Lost():
		return true
	default:
		return false
	}
}

// abandon stops everything at once: the registration is over, others have the shards.
func (m *membership) abandon() {
	claims := m.machine.Acting()
	m.cfg.Log.WarnContext(m.ctx, "membership was lost", "worker", m.member.ID(), "shards", len(claims))
	m.listeners.RemoveAll()
	m.delivery.Drop(claims)
	m.step(hold.Over{})
	m.leave()
}

// leave ends the registration, also a lost one, whose connection is still there.
func (m *membership) leave() {
	ctx, cancel := context.WithTimeout(m.ctx, leaveTimeout)
	defer cancel()
	if err := m.member.Leave(ctx); err != nil {
		m.cfg.Log.WarnContext(ctx, "the cluster was not left in an orderly way", "error", err)
	}
}

// stop gives everything up in an orderly way and leaves the cluster. It returns false
// when the membership was lost meanwhile.
func (m *membership) stop(deadline time.Time) bool {
	claims := m.machine.Acting()
	m.cfg.Log.InfoContext(m.ctx, "worker leaves", "worker", m.member.ID(), "shards", len(claims))
	m.listeners.RemoveAll()
	if !m.drain(claims, time.Until(deadline)) {
		return false
	}
	farewell := m.machine.Farewell()
	m.step(hold.Over{})
	ctx, cancel := context.WithTimeout(m.ctx, leaveTimeout)
	defer cancel()
	if err := m.member.Report(ctx, farewell); err != nil {
		m.cfg.Log.WarnContext(ctx, "the last report could not be made", "error", err)
	}
	m.leave()
	return true
}

// drain waits until nothing runs for the claims any more, or the time for it is up.
// It returns false when the membership was lost meanwhile.
func (m *membership) drain(claims []hold.Claim, limit time.Duration) bool {
	ctx, cancel := context.WithTimeout(m.ctx, limit)
	defer cancel()
	drained := make(chan error, 1)
	go func() { drained <- m.delivery.Drain(ctx, claims) }()
	select {
	case err := <-drained:
		if err != nil {
			m.cfg.Log.WarnContext(ctx, "not everything in flight could be finished", "error", err)
		}
		return true
	case <-m.member.Lost():
		return false
	}
}
