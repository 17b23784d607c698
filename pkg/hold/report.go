// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package hold

import (
	"time"

	"mailpush.internal/pkg/shard"

	"google.golang.org/protobuf/proto"

	clusterv1 "mailpush.internal/proto/gen/mailpush/cluster/v1"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
)

// patient is the number of failures from which on reports are tried no more rarely,
// every second or so: others may be waiting for what a report lets go of.
const patient = 4

// reports tell the leader what is run, one at a time.
type reports struct {
	applied  uint64 // the newest generation that is fully applied
	stored   *clusterv1.Have
	stale    bool // what is run, or applied, may not be what is stored
	inFlight bool
	failures int       // in a row
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
	if m.want == nil {
		return
	}
	r := &m.reports
	if generation := m.want.GetGeneration(); len(m.unsettled) == 0 && r.applied != generation {
		r.applied, r.stale = generation, true
	}
	if r.inFlight || r.applied == 0 || r.notUntil.After(now) {
		return
	}
	r.notUntil = time.Time{}
	if !r.stale {
		return
	}
	r.stale = false
	have := have(r.applied, m.Acting())
	if proto.Equal(have, r.stored) {
		return
	}
	r.inFlight = true
	m.do(Report{have})
}

func (e Reported) apply(m *Machine, now time.Time) {
	r := &m.reports
	r.inFlight, r.stale, r.notUntil = false, true, time.Time{}
	if e.Failed {
		r.failures++
		r.notUntil = now.Add(m.wait(min(r.failures, patient)))
		return
	}
	r.stored, r.failures = e.Have, 0
}

// have is the report that the claims, in their order, are run.
func have(generation uint64, claims []Claim) *clusterv1.Have {
	return &clusterv1.Have{Generation: generation, Held: Sets(claims)}
}

// Sets groups claims, which stand in their order, by backend.
func Sets(claims []Claim) []*mailv1.ShardSet {
	var out []*mailv1.ShardSet
	for _, claim := range claims {
		if len(out) == 0 || out[len(out)-1].GetBackend() != claim.Backend {
			out = append(out, &mailv1.ShardSet{Backend: claim.Backend})
		}
		set := out[len(out)-1]
		set.Shards = append(set.Shards, claim.Shard)
		set.Epochs = append(set.Epochs, claim.Epoch)
	}
	return out
}

// Farewell is the report of a worker for which nothing runs any more, because it has
// stopped everything to leave: it lets the leader grant all of it at once.
func (m *Machine) Farewell() *clusterv1.Have {
	return have(max(m.reports.applied, m.want.GetGeneration()), nil)
}

// Progress is how far a worker has come with giving everything up. It is comparable.
type Progress struct {
	Generation uint64 // of what the leader wants
	Shards     int    // that something runs for here, or is about to
	Draining   int    // those of them whose requests in flight come to their end
	Left       int    // these, and those that are released and not yet granted elsewhere
}

// Progress returns how far it has come.
func (m *Machine) Progress() Progress {
	p := Progress{Generation: m.want.GetGeneration(), Shards: len(m.shards), Left: len(m.shards)}
	for _, s := range m.shards {
		if s.phase == draining {
			p.Draining++
		}
	}
	for _, revocation := range m.want.GetRevoked() {
		for _, number := range revocation.GetShards().GetShards() {
			if m.shards[shard.ID{Backend: revocation.GetShards().GetBackend(), Number: number}] == nil {
				p.Left++
			}
		}
	}
	return p
}
