// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"mailpush.internal/pkg/hold"
	clusterv1 "mailpush.internal/proto/gen/mailpush/cluster/v1"
	"mailpush.internal/services/scheduler/internal/assign"
	"mailpush.internal/services/scheduler/internal/term"
)

// replica is a scheduler: a candidate, and at times a leader.
type replica struct {
	*node

	world *world
	reign *reign // nil while it does not stand
	epoch uint64 // the highest the registry has told of
}

// reign is one candidacy, and the term that may follow.
type reign struct {
	*replica

	key     *leaderKey
	fence   hold.Fence
	machine term.Machine
	read    *snapshot
	waiting bool // for a hint
	waits   int  // counts them, so that an old timer ends no new wait
	over    bool
}

func (w *world) addReplica() {
	r := &replica{node: w.newNode(fmt.Sprint("scheduler ", len(w.replicas)+1)), world: w}
	w.replicas = append(w.replicas, r)
	r.stand()
	r.keepAsking()
}

// keepAsking learns from the registry what the highest epoch is.
func (r *replica) keepAsking() {
	call(r.world, r.node, &r.world.registry.server, r.world.registry.newest, func(epoch uint64) { r.epoch = max(r.epoch, epoch) }, func() {})
	r.after(2*time.Second, r.keepAsking)
}

// stand becomes a candidate.
func (r *replica) stand() {
	sent := r.clock()
	call(r.world, r.node, &r.world.etcd.server, func() *leaderKey { return r.world.etcd.stand(r.name) }, func(key *leaderKey) {
		s := &reign{replica: r, key: key}
		r.reign = s
		s.fence.Extend(sent, r.world.ttl)
		s.keepRenewing()
		s.wait()
	}, func() { r.after(300*time.Millisecond, r.stand) })
}

// goes tells whether the reign still goes on, and ends it when its fence is reached.
func (s *reign) goes() bool {
	if !s.over && s.fence.Over(s.clock()) {
		s.end()
	}
	return !s.over
}

func (s *reign) end() {
	s.over, s.reign = true, nil
	s.note(s.name + " leads no more")
	s.after(300*time.Millisecond, s.stand)
}

func (s *reign) keepRenewing() {
	s.after(s.world.ttl/4, func() {
		if !s.goes() {
			return
		}
		sent := s.clock()
		call(s.world, s.node, &s.world.etcd.server, func() bool { return s.world.etcd.renew(s.key.lease) }, func(there bool) {
			switch {
			case !s.goes():
			case there:
				s.fence.Extend(sent, s.world.ttl)
			default:
				s.end()
			}
		}, func() {})
		s.keepRenewing()
	})
}

// wait asks whether it leads, until it does.
func (s *reign) wait() {
	again := func() { s.after(300*time.Millisecond, s.wait) }
	if !s.goes() {
		return
	}
	call(s.world, s.node, &s.world.etcd.server, func() bool { return s.world.etcd.leads(s.key) }, func(leads bool) {
		switch {
		case !s.goes():
		case leads:
			s.note(s.name + " leads")
			s.step(term.Hint{})
		default:
			again()
		}
	}, again)
}

// step tells the machine of an event and carries out what it decides. A leader that
// is slow to notice goes on as one: what stops it is etcd.
func (s *reign) step(event term.Event) {
	if s.over {
		return
	}
	switch effect := s.machine.Step(event, s.wall()).(type) {
	case term.Read:
		call(s.world, s.node, &s.world.etcd.server, s.world.etcd.read, s.decide, s.failed)
	case term.Ask:
		s.ask()
	case term.Apply:
		s.apply(effect.Update)
	case term.Wait:
		if puts := slices.DeleteFunc(effect.Plan.Updates, func(u assign.Update) bool { return len(u.Put) == 0 }); len(puts) > 1 {
			s.world.long++
		}
		s.pause(effect.For)
	case term.Stop:
		s.end()
	}
}

// ask learns the registry's highest epoch before the first plan.
func (s *reign) ask() {
	if s.world.mutation == planUntold {
		s.step(term.Told{})
		return
	}
	call(s.world, s.node, &s.world.registry.server, s.world.registry.newest, func(epoch uint64) {
		s.epoch = max(s.epoch, epoch)
		s.step(term.Told{})
	}, func() { s.step(term.Unanswered{}) })
}

func (s *reign) failed() { s.step(term.Failed{}) }

func (s *reign) decide(read *snapshot) {
	s.read = read
	in := read.input()
	in.Loads = assign.Loads{Listeners: s.world.listeners, MaxEpoch: s.epoch}
	if s.world.mutation == believeEverybody {
		acknowledged(in.Entries)
	}
	s.step(term.Cluster{Input: in})
}

// acknowledged makes a leader believe that every worker has applied what it wants.
func acknowledged(entries []assign.Entry) {
	for i, e := range entries {
		if e.Want != nil {
			entries[i].Have = &clusterv1.Have{Generation: e.Want.GetGeneration(), Held: e.Want.GetGranted()}
		}
	}
}

func (s *reign) apply(update assign.Update) {
	for id, want := range update.Put {
		update.Put[id] = proto.CloneOf(want)
	}
	read := s.read
	call(s.world, s.node, &s.world.etcd.server, func() landed { return s.world.etcd.apply(s.key, read, update) }, func(answer landed) {
		switch {
		case answer.ok:
			read.applied(update, answer.revision)
			s.step(term.Applied{})
		case answer.deposed:
			s.step(term.Deposed{})
		default:
			s.step(term.Conflict{})
		}
	}, s.failed)
}

// pause waits for a hint, or for so long if it is not 0, and never longer than a
// watch is believed.
func (s *reign) pause(d time.Duration) {
	s.waiting = true
	s.waits++
	this := s.waits
	if d == 0 {
		d = relist
	}
	s.after(d, func() {
		if this == s.waits {
			s.hinted()
		}
	})
}

// hinted ends a wait.
func (s *reign) hinted() {
	if s.waiting {
		s.waiting = false
		s.step(term.Hint{})
	}
}
