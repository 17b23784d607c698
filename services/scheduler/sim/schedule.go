// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"
)

const (
	faultsFor = 12 * time.Second // things go wrong
	settleGap = 500 * time.Millisecond
)

// settleFor is how long everything may take to come to rest when nothing goes wrong any
// more. Two leases may have to end one after the other, a leader's and a worker's; the
// rest is what leases are late, watches are not believed and failures are waited for.
func (w *world) settleFor() time.Duration { return 2*w.ttl + 10*time.Second }

// outcome is how a schedule went.
type outcome struct {
	violation                                    string
	overlaps, stale, delivers, confirmed, faults int
	long                                         int // plans of more than one transaction
	revoked, fenced                              int // leases of dead workers, and what those had sent
	rest                                         time.Duration
}

// runSchedule runs the schedule of a seed. trace may be nil.
func runSchedule(seed uint64, mutation mutation, trace func(time.Duration, string)) outcome {
	w := newWorld(seed, mutation)
	w.trace = trace
	w.begin()
	w.plague()
	w.run(faultsFor)
	w.heal()
	unsettled := "nothing was looked at"
	for unsettled != "" && w.now < faultsFor+w.settleFor() && w.violation == "" {
		w.run(w.now + settleGap)
		unsettled = w.settled()
	}
	if unsettled != "" {
		w.fail("%v after the last fault, %s", w.now-faultsFor, unsettled)
	}
	return outcome{w.violation, w.overlaps, w.stale, w.delivers, w.confirmed, w.faults, w.long, w.revoked, w.fenced, w.now - faultsFor}
}

// size draws how large the cluster is. Most are small, where everybody meets everybody;
// a few have more workers than a transaction has room for, or more shards on a worker
// than are moved at a time.
func (w *world) size() {
	w.ttl = 2 * time.Second
	if w.chance(0.3) {
		w.ttl = 5 * time.Second
	}
	w.shards, w.crowd = 4, 8
	switch size := w.random.Float64(); {
	case size < 0.005:
		w.shards, w.crowd = 300, 55
	case size < 0.015:
		w.shards = 300
	}
}

// begin starts the cluster, with more or less bad a network.
func (w *world) begin() {
	w.violent = w.chance(0.1)
	if w.chance(0.3) {
		w.age()
	}
	w.network = network{loss: pick(w, 0, 0, 0.01, 0.05, 0.2), slow: pick(w, 0, 0.01, 0.1, 0.4)}
	w.blind = pick(w, 0, 0.1, 0.5)
	w.supervised = pick(w, 0, 0.5, 1)
	for range 2 + w.random.IntN(2) {
		w.addReplica()
	}
	for range 2 + w.random.IntN(3) + (w.crowd - 8) {
		w.addWorker()
	}
}

// age makes the registry one that has served another etcd before, which was lost.
func (w *world) age() {
	for shard := range w.shards {
		epoch := 1 + w.random.Uint64N(1000)
		w.registry.epochs[shard], w.opened[shard] = epoch, epoch
		w.old = max(w.old, epoch)
	}
}

func pick(w *world, of ...float64) float64 { return of[w.random.IntN(len(of))] }

// plague has things go wrong until they must not any more.
func (w *world) plague() {
	mean := w.between(300*time.Millisecond, 3*time.Second)
	var next func()
	next = func() {
		if w.now >= faultsFor {
			return
		}
		w.faults++
		w.fault()
		w.at(w.now+w.between(mean/4, 2*mean), next)
	}
	w.at(w.between(0, 3*time.Second), next)
}

// fault is one thing that goes wrong.
func (w *world) fault() {
	n := w.workers[w.random.IntN(len(w.workers))]
	r := w.replicas[w.random.IntN(len(w.replicas))]
	long := func() time.Duration { return w.now + w.between(100*time.Millisecond, 3*w.ttl) }
	switch w.random.IntN(20) {
	case 0, 17:
		n.die(long())
	case 1, 2:
		n.pause(long())
	case 3:
		n.cutTo = long()
		w.note(fmt.Sprintf("%s is not heard until %v", n.name, n.cutTo))
	case 4:
		n.cutFrom = long()
		w.note(fmt.Sprintf("%s hears nothing until %v", n.name, n.cutFrom))
	case 5:
		n.cutTo = long()
		n.cutFrom = n.cutTo
		w.note(fmt.Sprintf("%s is cut off until %v", n.name, n.cutTo))
	case 6, 7:
		r.paused = long()
		w.note(fmt.Sprintf("%s is paused until %v", r.name, r.paused))
	case 8:
		r.cutFrom = long()
		w.note(fmt.Sprintf("%s hears nothing until %v", r.name, r.cutFrom))
	case 9:
		w.note(r.name + " dies")
		r.dead = true
		w.at(min(long(), faultsFor), w.addReplica)
	case 10:
		w.etcd.down = long()
		w.note(fmt.Sprintf("etcd is away until %v", w.etcd.down))
	case 11:
		w.registry.down = long()
		w.note(fmt.Sprintf("the registry is away until %v", w.registry.down))
	case 12:
		w.drain(n, !n.draining)
	case 13:
		if m := n.member; w.violent && m != nil {
			m.robbed = true
			w.etcd.revoke(m.lease)
		} else if len(w.workers) < w.crowd {
			w.addWorker()
		}
	case 14:
		r.cutTo = long()
		w.note(fmt.Sprintf("%s is not heard until %v", r.name, r.cutTo))
	case 15:
		w.restart(w.workers[w.random.IntN(len(w.workers)):][:1])
	case 16:
		w.restart(slices.Clone(w.workers))
	case 18:
		n.parent.pause(long())
	case 19:
		w.parentDies(n)
	}
}

// restart has workers leave one after the other, and others come in their place.
func (w *world) restart(workers []*worker) {
	if len(workers) == 0 || w.now >= faultsFor {
		return
	}
	next := func() {
		w.addWorker()
		w.restart(workers[1:])
	}
	if n := workers[0]; n.dead || n.leaving {
		w.restart(workers[1:])
	} else {
		w.note(n.name + " leaves")
		n.leave(next)
	}
}

// drain says that a worker's shards are to be moved away, or takes that back.
func (w *world) drain(n *worker, draining bool) {
	n.draining = draining
	w.note(fmt.Sprintf("%s drains: %v", n.name, draining))
	if n.member == nil {
		return
	}
	if e := w.etcd.entry(n.member.id); e.worker != nil {
		registration := proto.CloneOf(e.worker)
		registration.Draining = draining
		w.etcd.drain(n.member.id, registration)
	}
}

// heal ends everything that goes wrong.
func (w *world) heal() {
	w.note("nothing goes wrong any more")
	w.network, w.blind = network{}, 0
	w.etcd.comeBack()
	w.registry.down = w.now
	for _, n := range w.workers {
		n.cutTo, n.cutFrom = w.now, w.now
		n.paused = min(n.paused, w.now)
		if s := n.parent; s != nil {
			s.cutTo, s.cutFrom, s.paused = w.now, w.now, min(s.paused, w.now)
		}
	}
	for _, r := range w.replicas {
		r.cutTo, r.cutFrom = w.now, w.now
		r.paused = min(r.paused, w.now)
	}
}
