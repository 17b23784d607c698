// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package assign decides which worker runs which shard: a balancer over opaque units
// and the rule under which a shard passes from one worker to the next. It is pure:
// what it is given is all it knows, so a new leader needs no memory.
//
// Invariant: of all workers that may still act, at most one may run a shard. A shard
// is granted only when every other live worker has acknowledged a plan without it,
// and each grant has a higher epoch than all before it.
package assign

import (
	"time"

	"mailpush.internal/pkg/shard"

	clusterv1 "mailpush.internal/proto/gen/mailpush/cluster/v1"
)

// Entry is what is stored under one worker id.
type Entry struct {
	ID string
	// Worker is nil when the worker is gone.
	Worker *clusterv1.Worker
	// Want is nil when nothing was ever planned for the worker.
	Want *clusterv1.Want
	// Have is nil when the worker has never reported.
	Have *clusterv1.Have
	// Unread tells what else is stored and could not be read; that is nil.
	Unread Unread
	// Losses is how many leases the worker's address has lost of late; see Flaps.
	Losses int
}

// Unread tells which values of an entry are there and cannot be trusted. A live worker
// with one is left alone: it keeps what is known to be its, and is given nothing.
// Where its plan is unknown, it may have been granted whatever no other live worker
// has by its own plan, so all of that waits. A gone one's keys are not removed.
type Unread struct{ Worker, Want, Have bool }

func (e Entry) live() bool { return e.Worker != nil || e.Unread.Worker }

// Loads is what the registry says of the shards.
type Loads struct {
	// Listeners counts the listeners each shard needs; shards with none are left out.
	Listeners map[shard.ID]uint32
	// MaxEpoch is the highest epoch ever opened.
	MaxEpoch uint64
}

// Input is the cluster at one moment.
type Input struct {
	// Revision is the store's, and grows with each write.
	Revision int64
	// Shards per backend.
	Shards uint32
	// LeaseTTL is how long a lease lives without renewal.
	LeaseTTL time.Duration
	// Entries holds one entry for each worker id, in a stable order.
	Entries []Entry
	Loads   Loads
	// Vanished is how many workers lost their lease within the last LeaseTTL; see Flaps.
	Vanished int
	// Retry grants shards anew that their workers have been told to run and do not,
	// because the registry knows a higher epoch. To be set now and then only.
	Retry bool
}

// Update is one change of the plan; all of it must land, or none.
type Update struct {
	// Put holds the new wants, by worker id.
	Put map[string]*clusterv1.Want
	// Remove names gone workers whose want and have are not needed any more.
	Remove []string
	// Alive names workers that must still be registered.
	Alive []string
	// Gone names workers that must not be registered.
	Gone []string
	// Unmoved names workers that must not have reported since.
	Unmoved []string
}

// Plan is the outcome of one step.
type Plan struct {
	// Updates change the plan step by step, in this order.
	Updates []Update
	// Unassigned counts the shards for which there is no capable worker with room.
	Unassigned int
	// Alarms are the reasons why somebody should look, each once.
	Alarms []Alarm
	// Settling counts the shards that wait for their former worker to let go.
	Settling int
	// Granted and Revoked count the shards given and taken away.
	Granted, Revoked int
}

// Step compares the plan with the cluster and returns what to change. Applied, and
// acknowledged by the workers, its updates lead to a plan for which Step has none.
func Step(in Input) Plan {
	s := newState(in)
	units := s.units()
	workers := s.candidates(units)
	owners := Balance(workers, units)
	p := &planner{state: s, epoch: s.nextEpoch()}
	p.plan.Alarms, p.plan.Unassigned = s.alarms(workers, units, owners)
	p.revokeStrays()
	p.grant(owners)
	p.revoke(owners)
	p.flush()
	p.cleanUp()
	for _, unit := range units {
		if unit.Settling {
			p.plan.Settling++
		}
	}
	return p.plan
}
