// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"mailpush.internal/pkg/shard"

	"mailpush.internal/pkg/hold"
	clusterv1 "mailpush.internal/proto/gen/mailpush/cluster/v1"
)

// most is how many listeners a shard needs at most; a worker has room for all there are.
const most = 20

// mutation is a rule that is switched off, to see that the checks notice.
type mutation int

const (
	sound            mutation = iota
	believeEverybody          // the leader takes every revocation for applied
	noFence                   // a worker's right to act never ends
	ignoreLeader              // etcd does not compare the leader's key
	acceptLower               // the registry takes any epoch
	forgetOpened              // the registry does not keep what it has opened
	beginUnopened             // a worker does not ask the registry before it begins
	fenceFromReceipt          // a worker's right lasts from when a renewal was acknowledged
	wholeLease                // it lasts for the whole of the TTL
	farewellEarly             // a worker that leaves says so before all has ended
	revokeStopped             // a supervisor takes a process that stands still for dead
	planUntold                // the first plan does not wait for the registry
)

// world is one schedule: a cluster, what goes wrong in it, and what is checked.
type world struct {
	engine

	mutation mutation
	ttl      time.Duration // of the cluster's leases
	shards   uint32
	crowd    int     // how many workers there are at most
	old      uint64  // the highest epoch the registry had opened before the cluster began
	violent  bool    // leases end before their time
	blind    float64 // the share of watch events that are lost

	supervised float64 // the share of workers with a supervisor
	network    network
	etcd       *etcd
	registry   *registry
	workers    []*worker
	replicas   []*replica
	listeners  map[shard.ID]uint32
	ids        int

	holds     map[uint32][]heldBy // by shard, those whose end was not told
	opened    map[uint32]uint64   // by shard, the highest epoch that the registry has taken
	violation string              // the first; empty while all is well
	overlaps  int
	stale     int
	delivers  int
	confirmed int
	faults    int
	long      int // plans of more than one transaction
	revoked   int // leases of dead workers
	fenced    int // what those workers had sent, and the registry has refused
}

// heldBy is a hold that was told to have begun.
type heldBy struct {
	m     *member
	epoch uint64
}

func newWorld(seed uint64, mutation mutation) *world {
	w := &world{
		mutation: mutation, holds: make(map[uint32][]heldBy), opened: make(map[uint32]uint64),
		listeners: make(map[shard.ID]uint32),
	}
	w.random = rand.New(rand.NewPCG(seed, seed^0x9e3779b97f4a7c15))
	w.etcd = newEtcd(w)
	w.registry = &registry{world: w, epochs: make(map[uint32]uint64)}
	w.size()
	for n := range w.shards {
		w.listeners[shard.ID{Backend: backend, Number: n}] = uint32(w.random.IntN(most + 1))
	}
	return w
}

// drift is by how much a clock is fast or slow: up to 5 %.
func (w *world) drift() float64 { return 0.1*w.random.Float64() - 0.05 }

func (w *world) newNode(name string) *node {
	return &node{engine: &w.engine, name: name, rate: 1 + w.drift()}
}

// fail notes the first violation.
func (w *world) fail(format string, args ...any) {
	if w.violation == "" {
		w.violation = fmt.Sprintf("at %v: ", w.now) + fmt.Sprintf(format, args...)
		w.note("VIOLATION " + w.violation)
	}
}

// hint tells the leader that something has changed, or does not.
func (w *world) hint() {
	for _, r := range w.replicas {
		if s := r.reign; s != nil && !w.chance(w.blind) && w.now >= r.cutFrom {
			s.reach(w.now+w.delay(), s.hinted)
		}
	}
}

// granted takes in what a worker is to run. What the registry would refuse is dark until it is
// granted anew.
func (w *world) granted(id string, want *clusterv1.Want) {
	for _, set := range want.GetGranted() {
		for i, epoch := range set.GetEpochs() {
			if epoch <= w.old {
				w.fail("%s is granted shard %d under epoch %d, the registry had %d before the cluster began",
					id, set.GetShards()[i], epoch, w.old)
			}
		}
	}
}

// began takes in that a worker holds shards from now on, whose epochs are open. Whoever
// held one before must have ended, or be past its fence, even if it had no chance yet to
// say so.
func (w *world) began(m *member, claims []hold.Claim) {
	w.note(m.id + " holds " + fmt.Sprint(claims))
	for _, claim := range claims {
		if w.opened[claim.Shard] < claim.Epoch {
			w.fail("%s holds shard %d under epoch %d, which is not open", m.id, claim.Shard, claim.Epoch)
		}
		for _, other := range w.holds[claim.Shard] {
			w.apart(claim.Shard, other.m, m)
			if other.m != m && other.epoch >= claim.Epoch && !other.m.robbed && !m.robbed {
				w.fail("shard %d passes from epoch %d to %d", claim.Shard, other.epoch, claim.Epoch)
			}
		}
		w.holds[claim.Shard] = append(w.holds[claim.Shard], heldBy{m, claim.Epoch})
	}
}

// apart takes in that two hold the same shard as far as was told. One of them must be
// past its fence, or have lost its lease before its time.
func (w *world) apart(shard uint32, one, other *member) {
	if one != other && one.acts() && other.acts() && !one.robbed && !other.robbed {
		w.overlaps++
		w.fail("shard %d is held by %s and by %s", shard, one.id, other.id)
	}
}

// acts tells whether the member acts on what it holds, or would if it did not stand still.
func (m *member) acts() bool { return !m.dead && m.current() }

// extended takes in that a member's right lasts longer than it seemed: it goes on with
// all it was not told to have ended.
func (w *world) extended(m *member) {
	for shard := range w.shards {
		holds := w.holds[shard]
		if !slices.ContainsFunc(holds, func(h heldBy) bool { return h.m == m }) {
			continue
		}
		for _, other := range holds {
			w.apart(shard, other.m, m)
		}
	}
}

// accepted takes in that the registry has accepted a claim.
func (w *world) accepted(claim hold.Claim) {
	if newest := w.opened[claim.Shard]; claim.Epoch < newest {
		w.stale++
		w.fail("the registry accepts epoch %d of shard %d after %d", claim.Epoch, claim.Shard, newest)
	}
}

// ended takes in that a worker holds shards no more.
func (w *world) ended(m *member, claims []hold.Claim) {
	w.note(m.id + " holds no more " + fmt.Sprint(claims))
	for _, claim := range claims {
		w.holds[claim.Shard] = slices.DeleteFunc(w.holds[claim.Shard], func(h heldBy) bool { return h.m == m && h.epoch == claim.Epoch })
	}
}

// delivered takes in that a worker has pushed without asking.
func (w *world) delivered(m *member, claim hold.Claim) {
	w.delivers++
	if newest := w.opened[claim.Shard]; newest > claim.Epoch && !m.robbed {
		w.fail("%s pushes for shard %d under epoch %d, %d is open", m.id, claim.Shard, claim.Epoch, newest)
	}
}

// settled tells whether each shard is held by one worker that is to hold it, under
// the newest epoch; shards that no worker may hold do not count.
func (w *world) settled() string {
	if !slices.ContainsFunc(w.workers, func(n *worker) bool { return !n.dead && !n.draining }) {
		return ""
	}
	for shard := range w.shards {
		var holders []string
		for _, h := range w.holds[shard] {
			if h.m.alive() && h.m.acts() && !h.m.draining && h.epoch >= w.opened[shard] {
				holders = append(holders, h.m.id)
			}
		}
		if len(holders) != 1 {
			return fmt.Sprintf("shard %d is held by %v", shard, holders)
		}
	}
	return ""
}

// describe is a want in one line.
func describe(want *clusterv1.Want) string {
	var out strings.Builder
	fmt.Fprintf(&out, "generation %d", want.GetGeneration())
	for _, set := range want.GetGranted() {
		fmt.Fprintf(&out, ", granted %v at %v", set.GetShards(), set.GetEpochs())
	}
	revoked := slices.SortedFunc(slices.Values(want.GetRevoked()), func(a, b *clusterv1.Revocation) int {
		return cmp.Compare(a.GetGeneration(), b.GetGeneration())
	})
	for _, r := range revoked {
		fmt.Fprintf(&out, ", revoked %v by %d", r.GetShards().GetShards(), r.GetGeneration())
	}
	return out.String()
}
