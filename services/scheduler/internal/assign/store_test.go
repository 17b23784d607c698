// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package assign_test

import (
	"cmp"
	"maps"
	"slices"
	"strconv"

	"mailpush.internal/pkg/shard"

	"google.golang.org/protobuf/proto"

	clusterv1 "mailpush.internal/proto/gen/mailpush/cluster/v1"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/scheduler/internal/assign"
)

const shards = 6

// fakeStore is etcd and the workers around it, one action at a time.
type fakeStore struct {
	revision int64
	plan     int64 // the revision of the last change of the plan
	entries  map[string]*fakeEntry
	workers  []*fakeWorker
	loads    assign.Loads
	epochs   map[shard.ID]uint64 // the highest granted
	broken   map[string]assign.Unread
	vanished int
	wronged  string // what a leader has done to a value that is not to be touched
}

// fakeEntry is what is stored under one id, with the revisions of have.
type fakeEntry struct {
	assign.Entry

	haveRev int64
}

// fakeWorker does what a worker does, in steps that may be far apart.
type fakeWorker struct {
	id      string
	acting  bool            // its right to act has not ended
	seen    *clusterv1.Want // read, and perhaps not applied yet
	applied uint64
	running map[shard.ID]uint64
}

func newStore() *fakeStore {
	return &fakeStore{
		revision: 1,
		entries:  make(map[string]*fakeEntry),
		epochs:   make(map[shard.ID]uint64),
		broken:   make(map[string]assign.Unread),
	}
}

func (s *fakeStore) entry(id string) *fakeEntry {
	if s.entries[id] == nil {
		s.entries[id] = &fakeEntry{Entry: assign.Entry{ID: id}}
	}
	return s.entries[id]
}

func (s *fakeStore) join(capacity uint32, backends ...string) *fakeWorker {
	s.revision++
	w := &fakeWorker{id: "w" + strconv.Itoa(len(s.workers)), acting: true}
	s.workers = append(s.workers, w)
	s.entry(w.id).Worker = &clusterv1.Worker{Id: w.id, Backends: backends, Capacity: capacity}
	return w
}

// crash ends a worker's lease. Its right to act has ended before.
func (s *fakeStore) crash(w *fakeWorker) {
	s.revision++
	w.acting, w.running = false, nil
	s.entry(w.id).Worker = nil
	s.spoil(w.id, s.broken[w.id]) // its key is gone
}

func (s *fakeStore) drain(w *fakeWorker) {
	s.revision++
	worker := proto.CloneOf(s.entry(w.id).Worker)
	worker.Draining = true
	s.entry(w.id).Worker = worker
}

// read takes the newest plan to the worker, apply makes it run that, and report
// tells so. A worker that is slow applies what it read long ago.
// One that is broken says nothing.
func (s *fakeStore) read(w *fakeWorker) {
	if !s.broken[w.id].Want {
		w.seen = s.entry(w.id).Want
	}
}

// spoil has leaders and workers find other values than what is stored; see mend.
func (s *fakeStore) spoil(id string, what assign.Unread) {
	entry := s.entries[id]
	s.broken[id] = assign.Unread{
		Worker: what.Worker && entry.Worker != nil,
		Want:   what.Want && entry.Want != nil,
		Have:   what.Have && entry.Have != nil,
	}
}

func (s *fakeStore) mend(id string) { delete(s.broken, id) }

// found is an entry as a leader reads it.
func (s *fakeStore) found(id string) assign.Entry {
	entry := s.entries[id].Entry
	entry.Unread = s.broken[id]
	if entry.Unread.Worker {
		entry.Worker = nil
	}
	if entry.Unread.Want {
		entry.Want = nil
	}
	if entry.Unread.Have {
		entry.Have = nil
	}
	return entry
}

func (w *fakeWorker) apply() {
	if w.seen.GetGeneration() <= w.applied {
		return
	}
	w.applied, w.running = w.seen.GetGeneration(), members(w.seen.GetGranted())
}

func (s *fakeStore) report(w *fakeWorker) {
	s.revision++
	have := &clusterv1.Have{Generation: w.applied}
	for _, at := range slices.SortedFunc(maps.Keys(w.running), byShard) {
		have.Held = append(have.Held, &mailv1.ShardSet{Backend: at.Backend, Shards: []uint32{at.Number}, Epochs: []uint64{w.running[at]}})
	}
	s.entry(w.id).Have = have
	s.entry(w.id).haveRev = s.revision
	broken := s.broken[w.id]
	broken.Have = false
	s.broken[w.id] = broken
}

func byShard(x, y shard.ID) int {
	return cmp.Or(cmp.Compare(x.Backend, y.Backend), cmp.Compare(x.Number, y.Number))
}

func members(sets []*mailv1.ShardSet) map[shard.ID]uint64 {
	out := make(map[shard.ID]uint64)
	for _, set := range sets {
		for i, at := range set.GetShards() {
			out[shard.ID{Backend: set.GetBackend(), Number: at}] = set.GetEpochs()[i]
		}
	}
	return out
}

// fakeSnapshot is what a leader has read.
type fakeSnapshot struct {
	plan    int64
	input   assign.Input
	entries map[string]fakeEntry
	broken  map[string]assign.Unread
}

func (s *fakeStore) snapshot() *fakeSnapshot {
	out := &fakeSnapshot{
		plan:    s.plan,
		input:   assign.Input{Revision: s.revision, Shards: shards, Loads: s.loads, Vanished: s.vanished},
		entries: make(map[string]fakeEntry),
		broken:  maps.Clone(s.broken),
	}
	for _, id := range slices.Sorted(maps.Keys(s.entries)) {
		out.entries[id] = *s.entries[id]
		out.input.Entries = append(out.input.Entries, s.found(id))
	}
	return out
}

// land makes one change if all it was told to compare is as it was read.
func (s *fakeStore) land(read *fakeSnapshot, update assign.Update) bool {
	gone := func(id string) bool { return s.entries[id] == nil || s.entries[id].Worker == nil }
	rewritten := func(id string) bool { return s.broken[id].Want != read.broken[id].Want }
	spoiled := func(id string) bool { return rewritten(id) || s.broken[id].Have != read.broken[id].Have }
	switch {
	case read.plan != s.plan,
		slices.ContainsFunc(slices.Collect(maps.Keys(update.Put)), rewritten),
		slices.ContainsFunc(update.Remove, spoiled),
		slices.ContainsFunc(update.Alive, gone),
		slices.ContainsFunc(slices.Concat(update.Gone, update.Remove), func(id string) bool { return !gone(id) }),
		slices.ContainsFunc(update.Unmoved, func(id string) bool { return s.entries[id].haveRev != read.entries[id].haveRev }):
		return false
	}
	s.revision++
	s.plan, read.plan = s.revision, s.revision
	for id := range update.Put {
		if s.broken[id].Want {
			s.wronged = "wrote over the broken plan of " + id
		}
	}
	for _, id := range update.Remove {
		if s.broken[id] != (assign.Unread{}) {
			s.wronged = "removed what is broken of " + id
		}
	}
	for id, want := range update.Put {
		s.entry(id).Want = want
	}
	for _, id := range update.Remove {
		delete(s.entries, id)
	}
	return true
}

// pass is a leader's whole pass, undisturbed. It returns what was decided.
func (s *fakeStore) pass() assign.Plan {
	read := s.snapshot()
	plan := assign.Step(read.input)
	for _, update := range plan.Updates {
		s.land(read, update)
	}
	return plan
}

// settle lets everybody do what there is to do until there is nothing left. It
// reports false when there is no end.
func (s *fakeStore) settle() bool {
	for range 50 {
		for _, w := range s.workers {
			if w.acting {
				s.read(w)
				w.apply()
				s.report(w)
			}
		}
		if plan := s.pass(); len(plan.Updates) == 0 {
			return true
		}
	}
	return false
}

// owners returns who runs each shard.
func (s *fakeStore) owners() map[shard.ID][]string {
	out := make(map[shard.ID][]string)
	for _, w := range s.workers {
		for at := range w.running {
			out[at] = append(out[at], w.id)
		}
	}
	return out
}
