// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package hold

import (
	"slices"
	"time"

	"mailpush.internal/pkg/shard"

	clusterv1 "mailpush.internal/proto/gen/mailpush/cluster/v1"
)

// Event is something a worker has learned.
type Event interface {
	apply(m *Machine, now time.Time)
}

type (
	// Wanted tells what the leader wants. Older wants than the newest are passed over.
	Wanted struct{ Want *clusterv1.Want }
	// Changed tells that the registry holds something else of a shard.
	Changed struct {
		Shard  shard.ID
		Change shard.Change
	}
	// Reread tells that the registry may hold something else of the claims' shards.
	Reread struct{ Claims []Claim }
	// Stale tells that everything is to be read again, for changes are hints that may get lost.
	Stale struct{}
	// Loaded answers a Read.
	Loaded struct {
		Read    Read
		Refused []Claim // by the registry, because a higher epoch is open
		Failed  bool    // whether it was opened or read is not known
	}
	// Drained answers a Release: nothing of the claims runs any more.
	Drained struct{ Claims []Claim }
	// Refused tells that the registry has refused the claims, because a higher epoch is open.
	Refused struct{ Claims []Claim }
	// Reported answers a Report.
	Reported struct {
		Have   *clusterv1.Have
		Failed bool // whether it was stored is not known
	}
	// Righted tells that the right to act has become current, or in doubt.
	Righted struct{ Right Right }
	// Over tells that the registration is over, and everything was stopped. It is the last event.
	Over struct{}
	// Tick tells that the time of Next has come.
	Tick struct{}
)

func (e Wanted) apply(m *Machine, _ time.Time) {
	if e.Want == nil || m.want != nil && e.Want.GetGeneration() < m.want.GetGeneration() {
		return
	}
	m.want, m.target = e.Want, granted(e.Want)
	m.touchAll()
	for _, set := range e.Want.GetGranted() {
		for _, number := range set.GetShards() {
			m.touch(shard.ID{Backend: set.GetBackend(), Number: number})
		}
	}
}

func (e Changed) apply(m *Machine, _ time.Time) {
	if s := m.shards[e.Shard]; s != nil {
		s.change(e.Change)
		m.touch(e.Shard)
	}
}

func (e Reread) apply(m *Machine, now time.Time) {
	for _, claim := range e.Claims {
		Changed{Shard: claim.ID()}.apply(m, now)
	}
}

func (Stale) apply(m *Machine, _ time.Time) {
	for _, s := range m.shards {
		s.change(shard.Change{})
	}
	m.touchAll()
}

func (e Drained) apply(m *Machine, _ time.Time) {
	for _, claim := range e.Claims {
		if s := m.shards[claim.ID()]; s != nil && s.claim == claim && s.phase == draining {
			m.drop(claim.ID())
		}
	}
}

func (e Refused) apply(m *Machine, _ time.Time) { m.fence(e.Claims) }

func (e Righted) apply(m *Machine, _ time.Time) {
	m.right = e.Right
	m.touchAll()
}

func (Over) apply(m *Machine, _ time.Time) {
	m.want, m.target = nil, nil
	m.touchAll()
	for _, at := range slices.Clone(m.touched) {
		m.drop(at)
	}
}

func (Tick) apply(*Machine, time.Time) {}
