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
// the newest says nothing. A change of the registry that was told is followed by a read
// that began after it, of the users it named at least.
//
// A worker runs thousands of shards, and most events are about one of them: a step looks
// at the shards it has touched. Only a want, a change of the right and a reload look at
// all of them, and a report, which says it all.
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

// Machine is the state of one registration of a worker. It is not safe for
// concurrent use.
type Machine struct {
	random *rand.Rand
	right  Right
	want   *clusterv1.Want // the newest; nil before the first
	target map[shard.ID]uint64
	shards map[shard.ID]*holding
	fenced map[shard.ID]uint64 // epochs the registry has refused

	// What follows from the shards, kept up by index.
	acting    map[shard.ID]uint64 // the epochs that something runs under
	unsettled map[shard.ID]bool   // what keeps the want from being applied
	lines     lines
	paused    pauses

	reads   int // in flight
	reports reports
	told    map[shard.ID]uint64 // the epochs of the holds, by Began and Ended

	// Of the step being taken.
	touched []shard.ID // in the order in which they were
	leaving []Claim
	effects []Effect
}

// New makes the machine of a fresh registration, which is wanted to run nothing and
// whose right is current. random spreads the pauses after failures.
func New(random *rand.Rand) *Machine {
	return &Machine{
		random:    random,
		shards:    make(map[shard.ID]*holding),
		fenced:    make(map[shard.ID]uint64),
		acting:    make(map[shard.ID]uint64),
		unsettled: make(map[shard.ID]bool),
		lines:     newLines(),
		told:      make(map[shard.ID]uint64),
	}
}

// Step takes in an event and returns what to do, in this order. now must not go back.
// Events may come late, twice and in any order.
func (m *Machine) Step(event Event, now time.Time) []Effect {
	m.touched, m.leaving, m.effects = m.touched[:0], nil, nil
	event.apply(m, now)
	m.wake(now)
	for _, at := range m.touched {
		m.aim(at)
		m.index(at)
	}
	if len(m.leaving) > 0 {
		m.do(Release{m.leaving})
	}
	m.startReads()
	m.report(now)
	return m.withHolds()
}

func (m *Machine) do(effect Effect) { m.effects = append(m.effects, effect) }

// touch has the step look at a shard when the event is taken in.
func (m *Machine) touch(at shard.ID) { m.touched = append(m.touched, at) }

// touchAll touches all shards, in a fixed order, so that the same events lead to the same
// effects.
func (m *Machine) touchAll() {
	from := len(m.touched)
	for at := range m.shards {
		m.touch(at)
	}
	slices.SortFunc(m.touched[from:], shard.ID.Compare)
}

// withHolds puts what changed of the holds around the effects: a hold is told before
// what it allows, its end after what ends it.
func (m *Machine) withHolds() []Effect {
	var began, ended []Claim
	for _, at := range m.touched {
		var epoch uint64
		if m.right == Current {
			epoch = m.acting[at]
		}
		before := m.told[at]
		if before == epoch {
			continue
		}
		delete(m.told, at)
		if before != 0 {
			ended = append(ended, Claim{at.Backend, at.Number, before})
		}
		if epoch != 0 {
			m.told[at] = epoch
			began = append(began, Claim{at.Backend, at.Number, epoch})
		}
	}
	effects := m.effects
	if len(began) > 0 {
		slices.SortFunc(began, Claim.compare)
		effects = slices.Insert(effects, 0, Effect(Began{began}))
	}
	if len(ended) > 0 {
		slices.SortFunc(ended, Claim.compare)
		effects = append(effects, Ended{ended})
	}
	m.effects = nil
	return effects
}

// Acting returns the claims that something runs for, in a fixed order: listeners, or
// at least a request in flight or a cursor to be stored.
func (m *Machine) Acting() []Claim {
	var out []Claim
	for at, epoch := range m.acting {
		out = append(out, Claim{at.Backend, at.Number, epoch})
	}
	slices.SortFunc(out, Claim.compare)
	return out
}

// Next is when a Tick is needed; the zero time means that none is.
func (m *Machine) Next() time.Time {
	next := m.reports.due()
	if at := m.paused.due(); next.IsZero() || !at.IsZero() && at.Before(next) {
		next = at
	}
	return next
}

// wait is how long to stay away after a number of failures in a row.
func (m *Machine) wait(failures int) time.Duration {
	return backoff.Joins().Half(failures-1, m.random.Float64())
}
