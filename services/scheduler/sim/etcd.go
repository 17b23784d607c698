// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"time"

	clusterv1 "mailpush.internal/proto/gen/mailpush/cluster/v1"
	"mailpush.internal/services/scheduler/internal/assign"
)

// etcd is a store whose operations happen one after the other. Its transactions
// compare what those of package cluster compare.
type etcd struct {
	server

	world    *world
	rate     float64 // of its clock
	revision int64
	leases   map[int]*lease
	granted  int          // leases, ever
	leaders  []*leaderKey // by creation
	entries  map[string]*entry
}

// lease keeps one key.
type lease struct {
	id      int
	expires time.Duration // true time; the latest renewal counts
	gone    func()        // deletes its key
}

type leaderKey struct {
	lease             int
	name              string
	created, modified int64
}

// entry is what is stored under a worker's id, with the revisions that are compared.
type entry struct {
	worker           *clusterv1.Worker
	want             *clusterv1.Want
	have             *clusterv1.Have
	created          int64 // of worker; 0 when it is gone
	wantRev, haveRev int64
	watch            func(*clusterv1.Want) // the worker's watch
}

func newEtcd(w *world) *etcd {
	return &etcd{world: w, rate: 1 + w.drift(), revision: 1, leases: make(map[int]*lease), entries: make(map[string]*entry)}
}

// grant makes a lease whose key gone deletes.
func (s *etcd) grant(gone func()) *lease {
	s.granted++
	l := &lease{id: s.granted, gone: gone}
	s.leases[l.id] = l
	s.extend(l)
	return l
}

// extend gives a lease its whole TTL, and looks for its end then, or some time later:
// etcd polls, and is busy.
func (s *etcd) extend(l *lease) {
	l.expires = s.world.now + s.ttl()
	s.expireAfter(l, l.expires+s.world.between(0, 500*time.Millisecond))
	if s.world.chance(0.1) {
		l.expires += s.world.between(0, 2*time.Second)
	}
}

// ttl is the cluster's lease by etcd's clock, in true time.
func (s *etcd) ttl() time.Duration { return time.Duration(float64(s.world.ttl) / s.rate) }

func (s *etcd) expireAfter(l *lease, moment time.Duration) {
	s.world.at(moment, func() {
		switch {
		case s.leases[l.id] == nil:
		case s.world.now < s.down: // it begins anew with a whole TTL
			s.expireAfter(l, s.down+s.ttl())
			l.expires = s.down + s.ttl()
		case s.world.now < l.expires:
			s.expireAfter(l, l.expires)
		default:
			s.revoke(l.id)
		}
	})
}

// comeBack ends an outage before its time: each lease begins anew with a whole TTL.
func (s *etcd) comeBack() {
	if s.world.now >= s.down {
		return
	}
	s.down = s.world.now
	for _, id := range slices.Sorted(maps.Keys(s.leases)) {
		l := s.leases[id]
		l.expires = s.world.now + s.ttl()
		s.expireAfter(l, l.expires)
	}
}

// renew returns false when the lease is not there.
func (s *etcd) renew(id int) bool {
	l := s.leases[id]
	if l == nil {
		return false
	}
	s.extend(l)
	return true
}

func (s *etcd) revoke(id int) {
	if l := s.leases[id]; l != nil {
		delete(s.leases, id)
		s.revision++
		s.world.note("etcd: lease " + strconv.Itoa(id) + " ends")
		l.gone()
		s.world.hint()
	}
}

// join registers a worker under a fresh id.
func (s *etcd) join(worker *clusterv1.Worker) (*lease, int64) {
	s.revision++
	e := s.entry(worker.GetId())
	e.worker, e.created = worker, s.revision
	s.world.hint()
	return s.grant(func() { e.worker, e.created = nil, 0 }), e.created
}

func (s *etcd) entry(id string) *entry {
	if s.entries[id] == nil {
		s.entries[id] = &entry{}
	}
	return s.entries[id]
}

// drain changes what a worker says of itself.
func (s *etcd) drain(id string, worker *clusterv1.Worker) {
	if e := s.entries[id]; e != nil && e.created != 0 {
		s.revision++
		e.worker = worker
		s.world.hint()
	}
}

// stored is the answer to a report.
type stored struct {
	ok      bool
	gone    bool  // the registration is over
	haveRev int64 // as it is now
}

// report stores what a worker runs if it is registered as it was and its have is as
// the worker knows it.
func (s *etcd) report(id string, created, haveRev int64, have *clusterv1.Have) stored {
	e := s.entries[id]
	if e == nil || e.created != created {
		return stored{gone: true}
	}
	if e.haveRev != haveRev {
		return stored{haveRev: e.haveRev}
	}
	s.revision++
	e.have, e.haveRev = have, s.revision
	s.world.hint()
	return stored{ok: true, haveRev: e.haveRev}
}

// stand makes a leader's key, which leads as soon as it is the oldest.
func (s *etcd) stand(name string) *leaderKey {
	s.revision++
	key := &leaderKey{name: name, created: s.revision, modified: s.revision}
	s.leaders = append(s.leaders, key)
	key.lease = s.grant(func() {
		s.leaders = slices.DeleteFunc(s.leaders, func(other *leaderKey) bool { return other == key })
	}).id
	return key
}

func (s *etcd) leads(key *leaderKey) bool { return len(s.leaders) > 0 && s.leaders[0] == key }

// snapshot is the cluster at one revision.
type snapshot struct {
	revision int64
	shards   uint32
	leader   leaderKey
	entries  map[string]entry
}

func (s *etcd) read() *snapshot {
	out := &snapshot{revision: s.revision, shards: s.world.shards, entries: make(map[string]entry, len(s.entries))}
	if len(s.leaders) > 0 {
		out.leader = *s.leaders[0]
	}
	for id, e := range s.entries {
		out.entries[id] = *e
	}
	return out
}

// input is a snapshot as package assign sees it.
func (r *snapshot) input() assign.Input {
	in := assign.Input{Revision: r.revision, Shards: r.shards}
	for _, id := range slices.SortedFunc(maps.Keys(r.entries), cmp.Compare) {
		e := r.entries[id]
		in.Entries = append(in.Entries, assign.Entry{ID: id, Worker: e.worker, Want: e.want, Have: e.have})
	}
	return in
}

// landed is the answer to a change of the plan.
type landed struct {
	ok, deposed bool
	revision    int64
}

// apply makes one change of the plan, if everything it rests on is as it was read.
func (s *etcd) apply(key *leaderKey, read *snapshot, update assign.Update) landed {
	leads := s.leads(key)
	if s.world.mutation != ignoreLeader {
		switch {
		case !leads:
			return landed{deposed: true}
		case read.leader.created != key.created || read.leader.modified != key.modified:
			return landed{}
		}
	}
	for id := range update.Put {
		if s.entry(id).wantRev != read.entries[id].wantRev {
			return landed{}
		}
	}
	for _, id := range update.Alive {
		if e := s.entries[id]; e == nil || e.created == 0 || e.created != read.entries[id].created {
			return landed{}
		}
	}
	for _, id := range slices.Concat(update.Gone, update.Remove) {
		if e := s.entries[id]; e != nil && e.created != 0 {
			return landed{}
		}
	}
	for _, id := range update.Remove {
		if e, was := s.entry(id), read.entries[id]; e.wantRev != was.wantRev || e.haveRev != was.haveRev {
			return landed{}
		}
	}
	for _, id := range update.Unmoved {
		if e := s.entries[id]; e == nil || e.haveRev != read.entries[id].haveRev {
			return landed{}
		}
	}
	if !leads {
		s.world.fail("a deposed leader's change has landed")
	}
	s.revision++
	key.modified = s.revision
	s.put(update)
	return landed{ok: true, revision: s.revision}
}

func (s *etcd) put(update assign.Update) {
	for _, id := range slices.Sorted(maps.Keys(update.Put)) {
		e := s.entry(id)
		e.want, e.wantRev = update.Put[id], s.revision
		s.world.granted(id, e.want)
		s.world.note("etcd: want of " + id + ": " + describe(e.want))
		if e.watch != nil {
			e.watch(e.want)
		}
	}
	for _, id := range update.Remove {
		if s.entries[id].haveRev != 0 {
			s.world.hint() // leaders watch workers and their reports, not the plan
		}
		delete(s.entries, id)
	}
}

// applied brings a snapshot up to date with a change that has landed.
func (r *snapshot) applied(update assign.Update, revision int64) {
	r.revision, r.leader.modified = revision, revision
	for id, want := range update.Put {
		e := r.entries[id]
		e.want, e.wantRev = want, revision
		r.entries[id] = e
	}
	for _, id := range update.Remove {
		delete(r.entries, id)
	}
}
