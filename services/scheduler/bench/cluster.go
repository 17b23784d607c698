// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"slices"

	"mailpush.internal/pkg/shard"

	clusterv1 "mailpush.internal/proto/gen/mailpush/cluster/v1"
	"mailpush.internal/services/scheduler/internal/assign"
)

const (
	backend = "imapidle"
	// maxPasses is more than any change takes when workers do as they are told.
	maxPasses = 100
)

// measureScheduler measures whole steps: the stored plan taken apart, the balance,
// and the transactions to write.
func measureScheduler(size dimensions, weights []uint32) (outcome, error) {
	fresh := newCluster(size, weights)
	settled, errFull := fresh.settle()
	joining := settled.join(size.workers)
	joined, errJoin := joining.settle()
	leaver := size.workers / 2
	leaving := settled.lose(leaver)
	left, errLeave := leaving.settle()
	if err := errors.Join(errFull, errJoin, errLeave); err != nil {
		return outcome{}, err
	}
	step := func(c cluster) func() { return func() { assign.Step(c.input) } }
	return outcome{
		name:   "mailpush, the whole step",
		full:   median(size.runs, step(fresh)),
		join:   median(size.runs, step(joining)),
		leave:  median(size.runs, step(leaving)),
		before: settled.placement(),
		joined: joined.placement(),
		left:   left.placement(),
		leaver: leaver,
	}, nil
}

// cluster is what is stored, with workers that do at once what they are told.
type cluster struct {
	input    assign.Input
	capacity uint32 // of each worker
}

func newCluster(size dimensions, weights []uint32) cluster {
	c := cluster{
		input: assign.Input{
			Revision: 1,
			Shards:   uint32(size.shards),
			Loads:    assign.Loads{Listeners: make(map[shard.ID]uint32, size.shards)},
		},
		// Twice of what is needed, so that one can be lost of two.
		capacity: uint32(2*size.listeners/size.workers + 1),
	}
	for number, listeners := range weights {
		c.input.Loads.Listeners[shard.ID{Backend: backend, Number: uint32(number)}] = listeners
	}
	for worker := range size.workers {
		c = c.join(worker)
	}
	return c
}

func id(worker int) string { return fmt.Sprintf("w%06d", worker) }

// join returns the cluster with one more worker.
func (c cluster) join(worker int) cluster {
	c.input.Entries = append(slices.Clone(c.input.Entries), assign.Entry{
		ID:     id(worker),
		Worker: &clusterv1.Worker{Id: id(worker), Backends: []string{backend}, Capacity: c.capacity},
	})
	return c
}

// lose returns the cluster with one worker's lease ended.
func (c cluster) lose(worker int) cluster {
	c.input.Entries = slices.Clone(c.input.Entries)
	c.input.Entries[worker].Worker = nil
	return c
}

// settle returns a copy of the cluster when there is nothing left to write.
func (c cluster) settle() (cluster, error) {
	c.input.Entries = slices.Clone(c.input.Entries)
	for range maxPasses {
		plan := assign.Step(c.input)
		switch {
		case plan.Unassigned > 0:
			return c, fmt.Errorf("%d shards have no worker: %v", plan.Unassigned, plan.Alarms)
		case len(plan.Updates) == 0:
			return c, nil
		}
		for _, update := range plan.Updates {
			c = c.write(update)
		}
	}
	return c, errors.New("passes have no end")
}

// write makes one change, and the workers follow it.
func (c cluster) write(update assign.Update) cluster {
	c.input.Revision++
	c.input.Entries = slices.DeleteFunc(c.input.Entries, func(entry assign.Entry) bool {
		return slices.Contains(update.Remove, entry.ID)
	})
	for i, entry := range c.input.Entries {
		if want := update.Put[entry.ID]; want != nil {
			c.input.Entries[i].Want = want
			c.input.Entries[i].Have = &clusterv1.Have{Generation: want.GetGeneration(), Held: want.GetGranted()}
		}
	}
	return c
}

// placement is what the workers report to run.
func (c cluster) placement() placement {
	ids := make(map[string]int, len(c.input.Entries)+1)
	for worker := range len(c.input.Entries) + 1 {
		ids[id(worker)] = worker
	}
	out := make(placement, c.input.Shards)
	for _, entry := range c.input.Entries {
		for _, set := range entry.Have.GetHeld() {
			for _, number := range set.GetShards() {
				out[number] = ids[entry.ID]
			}
		}
	}
	return out
}
