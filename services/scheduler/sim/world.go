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

	"mailpush.internal/pkg/hold"
	clusterv1 "mailpush.internal/proto/gen/mailpush/cluster/v1"
	"mailpush.internal/services/scheduler/internal/assign"
)

// shards is how many shards a schedule's cluster has.
const shards = 4

// mutation is a rule that is switched off, to see that the checks notice.
type mutation int

const (
	sound            mutation = iota
	believeEverybody          // the leader takes every revocation for applied
	noFence                   // a worker's right to act never ends
	ignoreLeader              // etcd does not compare the leader's key
	acceptLower               // the registry takes any epoch
)

// world is one schedule: a cluster, what goes wrong in it, and what is checked.
type world struct {
	engine

	mutation  mutation
	violent   bool    // leases end before their time
	blind     float64 // the share of watch events that are lost
	network   network
	etcd      *etcd
	registry  *registry
	workers   []*worker
	replicas  []*replica
	listeners map[assign.Shard]uint32
	ids       int

	holds     map[uint32][]heldBy // by shard, those whose end was not told
	violation string              // the first; empty while all is well
	overlaps  int
	stale     int
	delivers  int
	confirmed int
	faults    int
}

// heldBy is a hold that was told to have begun.
type heldBy struct {
	m     *member
	epoch uint64
}

func newWorld(seed uint64, mutation mutation) *world {
	w := &world{mutation: mutation, holds: make(map[uint32][]heldBy), listeners: make(map[assign.Shard]uint32)}
	w.random = rand.New(rand.NewPCG(seed, seed^0x9e3779b97f4a7c15))
	w.etcd = newEtcd(w)
	w.registry = &registry{world: w, epochs: make(map[uint32]uint64)}
	for n := range uint32(shards) {
		w.listeners[assign.Shard{Backend: backend, Number: n}] = uint32(w.random.IntN(20))
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

// ends is the moment a member's right to act ends, in true time.
func (m *member) ends() time.Duration { return m.truly(m.fence.Until()) }

// began takes in that a worker holds shards from now on. Whoever held one before must
// have ended, or be past its fence, even if it had no chance yet to say so.
func (w *world) began(m *member, claims []hold.Claim) {
	w.note(m.id + " holds " + fmt.Sprint(claims))
	for _, claim := range claims {
		for _, other := range w.holds[claim.Shard] {
			if other.m != m && !other.m.dead && w.now < other.m.ends() && !w.violent {
				w.overlaps++
				w.fail("shard %d is held by %s and by %s", claim.Shard, other.m.id, m.id)
			}
			if other.m != m && other.epoch >= claim.Epoch && !w.violent {
				w.fail("shard %d passes from epoch %d to %d", claim.Shard, other.epoch, claim.Epoch)
			}
		}
		w.holds[claim.Shard] = append(w.holds[claim.Shard], heldBy{m, claim.Epoch})
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
	if newest := w.registry.epochs[claim.Shard]; newest > claim.Epoch && !w.violent {
		w.fail("%s pushes for shard %d under epoch %d, %d is open", m.id, claim.Shard, claim.Epoch, newest)
	}
}

// settled tells whether each shard is held by one worker that is to hold it, under
// the newest epoch; shards that no worker may hold do not count.
func (w *world) settled() string {
	if !slices.ContainsFunc(w.workers, func(n *worker) bool { return !n.dead && !n.draining }) {
		return ""
	}
	for shard := range uint32(shards) {
		var holders []string
		for _, h := range w.holds[shard] {
			if h.m.alive() && !h.m.dead && !h.m.draining && h.epoch >= w.registry.epochs[shard] && w.now < h.m.ends() {
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
