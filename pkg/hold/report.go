// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package hold

import (
	"time"

	"google.golang.org/protobuf/proto"

	clusterv1 "mailpush.internal/proto/gen/mailpush/cluster/v1"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
)

// reports tell the leader what is run, one at a time.
type reports struct {
	applied  uint64 // the newest generation that is fully applied
	stored   *clusterv1.Have
	inFlight bool
	notUntil time.Time // after a failure
}

// due is when a report that failed is tried again.
func (r *reports) due() time.Time {
	if r.inFlight {
		return time.Time{}
	}
	return r.notUntil
}

// report tells what is run when it has changed. A generation counts as applied when
// nothing runs any more of what it revoked and a first attempt has been made at all it
// grants: a registry that is down must not keep shards from moving on.
func (m *Machine) report(now time.Time) {
	r := &m.reports
	if m.settled() {
		r.applied = m.want.GetGeneration()
	}
	have := m.have(r.applied, m.Acting())
	if r.inFlight || r.applied == 0 || r.notUntil.After(now) || proto.Equal(have, r.stored) {
		return
	}
	r.inFlight = true
	m.do(Report{have})
}

func (e Reported) apply(m *Machine, now time.Time) {
	r := &m.reports
	r.inFlight, r.notUntil = false, time.Time{}
	if e.Failed {
		r.notUntil = now.Add(m.backoff(1))
		return
	}
	r.stored = e.Have
}

// settled tells whether the newest want is applied.
func (m *Machine) settled() bool {
	for _, s := range m.shards {
		switch {
		case s.phase == draining, s.phase == abandoned:
			return false
		case s.phase == opening && !s.tried:
			return false
		}
	}
	return true
}

// have is the report that the claims, in their order, are run.
func (m *Machine) have(generation uint64, claims []Claim) *clusterv1.Have {
	have := &clusterv1.Have{Generation: generation}
	for _, claim := range claims {
		n := len(have.GetHeld())
		if n == 0 || have.GetHeld()[n-1].GetBackend() != claim.Backend {
			have.Held = append(have.Held, &mailv1.ShardSet{Backend: claim.Backend})
			n++
		}
		set := have.GetHeld()[n-1]
		set.Shards = append(set.Shards, claim.Shard)
		set.Epochs = append(set.Epochs, claim.Epoch)
	}
	return have
}

// Farewell is the report of a worker for which nothing runs any more, because it has
// stopped everything to leave: it lets the leader grant all of it at once.
func (m *Machine) Farewell() *clusterv1.Have {
	return m.have(max(m.reports.applied, m.want.GetGeneration()), nil)
}

// Progress is how far a worker has come with giving everything up. It is comparable.
type Progress struct {
	Generation uint64 // of what the leader wants
	Shards     int    // that something runs for here, or is about to
	Left       int    // these, and those that are released and not yet granted elsewhere
}

// Progress returns how far it has come.
func (m *Machine) Progress() Progress {
	p := Progress{m.want.GetGeneration(), len(m.shards), len(m.shards)}
	for _, revocation := range m.want.GetRevoked() {
		for _, number := range revocation.GetShards().GetShards() {
			if m.shards[place{revocation.GetShards().GetBackend(), number}] == nil {
				p.Left++
			}
		}
	}
	return p
}
