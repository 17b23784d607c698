// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package hold is a worker's side of the cluster protocol as a pure step function:
// which shards it holds, given what the leader wants, what the registry has answered
// and whether its right to act is current. It has no clock, no goroutine and no I/O;
// package owner of the listener-worker carries its effects out, and the scheduler's
// simulator drives it through every fault.
//
// Invariants: a hold begins only while the right to act is current and after the
// shard's epoch was opened at the registry; it ends when the right does. A revocation
// counts as applied only when nothing of the shard runs any more. An older want than
// the newest says nothing.
package hold

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"

	"mailpush.internal/pkg/backoff"

	"mailpush.internal/pkg/shard"

	clusterv1 "mailpush.internal/proto/gen/mailpush/cluster/v1"
)

// Claim is the right to act for a shard: the fencing token of one grant.
type Claim struct {
	Backend string
	Shard   uint32
	Epoch   uint64
}

func (c Claim) compare(other Claim) int {
	return cmp.Or(cmp.Compare(c.Backend, other.Backend), cmp.Compare(c.Shard, other.Shard), cmp.Compare(c.Epoch, other.Epoch))
}

// ID is the shard that the claim is for.
func (c Claim) ID() shard.ID { return shard.ID{Backend: c.Backend, Number: c.Shard} }

// Right is whether a worker may act for what it was granted.
type Right int

const (
	// Current means that an acknowledged renewal covers this moment.
	Current Right = iota
	// InDoubt means that etcd has been silent past the fence, so others may have been granted
	// the shards. What runs is kept, and the registry is asked before each delivery.
	InDoubt
)

// holding is what is known of a shard that this worker runs, or is about to, or has
// yet to let go of.
type holding struct {
	claim    Claim
	phase    phase
	reading  bool // a Read of it is in flight
	tried    bool // a Read of it has ended
	changed  bool // it must be read again
	failures int
	notUntil time.Time // after a failure
}

type phase int

const (
	opening   phase = iota // its epoch is not open yet, or its mailboxes not read
	running                // its mailboxes are listened to
	draining               // requests in flight end, cursors are stored
	abandoned              // no more wanted while it was opening
)

// Machine is the state of one registration of a worker. It is not safe for
// concurrent use.
type Machine struct {
	random  *rand.Rand
	right   Right
	want    *clusterv1.Want // the newest; nil before the first
	shards  map[shard.ID]*holding
	fenced  map[shard.ID]uint64 // epochs the registry has refused
	reads   int                 // in flight
	reports reports
	holds   map[Claim]bool // as last told by Began and Ended
	effects []Effect       // of the step being taken
}

// New makes the machine of a fresh registration, which is wanted to run nothing and
// whose right is current. random spreads the pauses after failures.
func New(random *rand.Rand) *Machine {
	return &Machine{
		random: random,
		shards: make(map[shard.ID]*holding),
		fenced: make(map[shard.ID]uint64),
		holds:  make(map[Claim]bool),
	}
}

// Step takes in an event and returns what to do, in this order. now must not go back.
// Events may come late, twice and in any order.
func (m *Machine) Step(event Event, now time.Time) []Effect {
	m.effects = nil
	event.apply(m, now)
	m.reconcile(now)
	return m.withHolds()
}

// withHolds puts what changed of the holds around the effects: a hold is told before
// what it allows, its end after what ends it.
func (m *Machine) withHolds() []Effect {
	var began, ended []Claim
	now := make(map[Claim]bool, len(m.holds))
	if m.right == Current {
		for _, claim := range m.Acting() {
			now[claim] = true
			if !m.holds[claim] {
				began = append(began, claim)
			}
		}
	}
	for claim := range m.holds {
		if !now[claim] {
			ended = append(ended, claim)
		}
	}
	m.holds = now
	effects := m.effects
	m.effects = nil
	if len(began) > 0 {
		effects = slices.Insert(effects, 0, Effect(Began{began}))
	}
	if len(ended) > 0 {
		slices.SortFunc(ended, Claim.compare)
		effects = append(effects, Ended{ended})
	}
	return effects
}

// Acting returns the claims that something runs for, in a fixed order: listeners, or
// at least a request in flight or a cursor to be stored.
func (m *Machine) Acting() []Claim {
	var out []Claim
	for _, s := range m.shards {
		if s.phase == running || s.phase == draining {
			out = append(out, s.claim)
		}
	}
	slices.SortFunc(out, Claim.compare)
	return out
}

// ordered returns the names of all shards in a fixed order, so that the same events
// lead to the same effects.
func (m *Machine) ordered() []shard.ID {
	out := make([]shard.ID, 0, len(m.shards))
	for at := range m.shards {
		out = append(out, at)
	}
	slices.SortFunc(out, shard.ID.Compare)
	return out
}

// reconcile moves what is run towards what is wanted. It looks at the state only, so
// that it does not matter what was missed or came twice.
func (m *Machine) reconcile(now time.Time) {
	if m.want == nil {
		return
	}
	target := granted(m.want)
	var leaving []Claim
	for _, at := range m.ordered() {
		s := m.shards[at]
		if target[at] == s.claim.Epoch {
			continue
		}
		switch {
		case s.phase == running:
			s.phase = draining
			leaving = append(leaving, s.claim)
		case s.phase == opening && s.reading:
			s.phase = abandoned
		case s.phase == opening:
			delete(m.shards, at)
		}
	}
	if len(leaving) > 0 {
		m.do(Release{leaving})
	}
	for at, epoch := range target {
		if m.shards[at] == nil && epoch > m.fenced[at] {
			m.shards[at] = &holding{claim: Claim{at.Backend, at.Number, epoch}}
		}
	}
	m.startReads(now)
	m.report(now)
}

// granted is the epoch of each shard a want allows.
func granted(want *clusterv1.Want) map[shard.ID]uint64 {
	out := make(map[shard.ID]uint64)
	for _, set := range want.GetGranted() {
		for i, number := range set.GetShards() {
			if i < len(set.GetEpochs()) { // a grant without an epoch is none
				out[shard.ID{Backend: set.GetBackend(), Number: number}] = set.GetEpochs()[i]
			}
		}
	}
	return out
}

func (m *Machine) do(effect Effect) { m.effects = append(m.effects, effect) }

// fence takes out shards whose claims the registry has refused: somebody newer owns
// them. Only a higher epoch brings them back.
func (m *Machine) fence(claims []Claim) {
	var cut []Claim
	for _, claim := range claims {
		at := claim.ID()
		m.fenced[at] = max(m.fenced[at], claim.Epoch)
		s := m.shards[at]
		if s == nil || s.claim != claim || s.phase == draining {
			continue // a drain ends by itself
		}
		if s.phase == running {
			cut = append(cut, claim)
		}
		delete(m.shards, at)
	}
	if len(cut) > 0 {
		m.do(Cut{cut})
	}
}

// Next is when a Tick is needed; the zero time means that none is.
func (m *Machine) Next() time.Time {
	next := m.reports.due()
	if m.reads == maxReads {
		return next // the end of one of them is a step, too
	}
	for _, s := range m.shards {
		waits := s.phase == opening && m.right == Current || s.phase == running && s.changed
		if waits && !s.reading && !s.notUntil.IsZero() && (next.IsZero() || s.notUntil.Before(next)) {
			next = s.notUntil
		}
	}
	return next
}

// wait is how long to stay away after a number of failures in a row.
func (m *Machine) wait(failures int) time.Duration {
	return backoff.Joins().Half(failures-1, m.random.Float64())
}
