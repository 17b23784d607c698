// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"mailpush.internal/pkg/fault"
	clusterv1 "mailpush.internal/proto/gen/mailpush/cluster/v1"
)

// Snapshot is the whole plan and the live workers at one revision of etcd.
type Snapshot struct {
	// Revision grows with every write to etcd.
	Revision int64
	// Leader is the name of the leader; empty when there is none.
	Leader string
	// Entries holds one entry for each worker id that any key mentions, by id.
	Entries []Entry

	leader  record
	byID    map[string]int
	strange []error // keys of nobody
}

// Entry is what is stored under one worker id.
type Entry struct {
	// ID is the worker's id.
	ID string
	// Worker is nil when the worker is gone.
	Worker *clusterv1.Worker
	// Want is nil when nothing was ever planned for the worker.
	Want *clusterv1.Want
	// Have is nil when the worker has never reported.
	Have *clusterv1.Have
	// Unread says why a part that is there is nil all the same.
	Unread Unread

	worker, want, have record
}

// Unread holds, for each key of an entry that is there and is not to be trusted, an
// error of kind DataLoss that names the key. It is no reason to stop: the others'
// keys are as good as ever.
type Unread struct{ Worker, Want, Have error }

// record is how a key was found. The zero record is a key that is not there.
type record struct {
	key               string
	created, modified int64
}

func recordOf(kv *mvccpb.KeyValue) record {
	return record{string(kv.GetKey()), kv.GetCreateRevision(), kv.GetModRevision()}
}

// Snapshot reads the cluster. Keys whose values are not to be trusted are no error;
// see Unread.
func (c *Client) Snapshot(ctx context.Context) (*Snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	// One transaction reads all at one revision.
	response, err := c.etcd.Txn(ctx).Then(
		clientv3.OpGet(c.keys.leaders(), byAge()...),
		clientv3.OpGet(c.keys.workers(), clientv3.WithPrefix()),
		clientv3.OpGet(c.keys.wants(), clientv3.WithPrefix()),
		clientv3.OpGet(c.keys.haves(), clientv3.WithPrefix()),
	).Commit()
	if err != nil {
		return nil, fmt.Errorf("reading the cluster: %w", c.unreachable(err))
	}
	out := &Snapshot{Revision: response.Header.GetRevision(), byID: make(map[string]int)}
	kvs := func(i int) []*mvccpb.KeyValue { return response.Responses[i].GetResponseRange().GetKvs() }
	out.addLeader(kvs(0))
	for _, kv := range kvs(1) {
		out.addWorker(c.keys, kv)
	}
	for _, kv := range kvs(2) {
		out.addWant(c.keys, kv)
	}
	for _, kv := range kvs(3) {
		out.addHave(c.keys, kv)
	}
	out.sort()
	return out, nil
}

// Unread returns the errors of all keys that are not to be trusted, in the order of
// the ids.
func (s *Snapshot) Unread() []error {
	out := slices.Clone(s.strange)
	for _, entry := range s.Entries {
		for _, err := range []error{entry.Unread.Worker, entry.Unread.Want, entry.Unread.Have} {
			if err != nil {
				out = append(out, err)
			}
		}
	}
	return out
}

func (s *Snapshot) addLeader(candidates []*mvccpb.KeyValue) {
	if first := firstLeased(candidates); first != nil {
		s.Leader, s.leader = string(first.GetValue()), recordOf(first)
	}
	for _, kv := range candidates {
		if err := leased(kv); err != nil {
			s.strange = append(s.strange, err)
		}
	}
}

func (s *Snapshot) addWorker(keys layout, kv *mvccpb.KeyValue) {
	entry := s.entry(strings.TrimPrefix(string(kv.GetKey()), keys.workers()))
	entry.worker = recordOf(kv)
	if entry.Worker, entry.Unread.Worker = decodeWorker(entry.worker.key, entry.ID, kv.GetValue()); entry.Worker == nil {
		return
	}
	// It would be granted shards, and never be gone.
	if entry.Unread.Worker = leased(kv); entry.Unread.Worker != nil {
		entry.Worker = nil
	}
}

func (s *Snapshot) addWant(keys layout, kv *mvccpb.KeyValue) {
	entry := s.entry(strings.TrimPrefix(string(kv.GetKey()), keys.wants()))
	entry.want = recordOf(kv)
	entry.Want, entry.Unread.Want = decodeWant(entry.want.key, kv.GetValue())
}

func (s *Snapshot) addHave(keys layout, kv *mvccpb.KeyValue) {
	entry := s.entry(strings.TrimPrefix(string(kv.GetKey()), keys.haves()))
	entry.have = recordOf(kv)
	entry.Have, entry.Unread.Have = decodeHave(entry.have.key, kv.GetValue())
}

// leased tells what is wrong with a key that must end with the process that made it.
func leased(kv *mvccpb.KeyValue) error {
	if kv.GetLease() == 0 {
		return fault.New(fault.DataLoss, "key %s: it has no lease, so it is not mailpush's", kv.GetKey())
	}
	return nil
}

// entry returns the entry of an id, a new one if need be. It is valid until the next call.
func (s *Snapshot) entry(id string) *Entry {
	i, known := s.byID[id]
	if !known {
		i = len(s.Entries)
		s.byID[id] = i
		s.Entries = append(s.Entries, Entry{ID: id})
	}
	return &s.Entries[i]
}

func (s *Snapshot) sort() {
	slices.SortFunc(s.Entries, func(a, b Entry) int { return cmp.Compare(a.ID, b.ID) })
	for i := range s.Entries {
		s.byID[s.Entries[i].ID] = i
	}
}
