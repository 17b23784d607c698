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

	leader record
	byID   map[string]int
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

	worker, want, have record
}

// record is how a key was found. The zero record is a key that is not there.
type record struct {
	key               string
	created, modified int64
}

func recordOf(kv *mvccpb.KeyValue) record {
	return record{string(kv.GetKey()), kv.GetCreateRevision(), kv.GetModRevision()}
}

// Snapshot reads the cluster. An error of kind DataLoss names a key whose value is
// not to be trusted.
func (c *Client) Snapshot(ctx context.Context) (*Snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	// One transaction reads all at one revision.
	response, err := c.etcd.Txn(ctx).Then(
		clientv3.OpGet(c.keys.leaders(), clientv3.WithFirstCreate()...),
		clientv3.OpGet(c.keys.workers(), clientv3.WithPrefix()),
		clientv3.OpGet(c.keys.wants(), clientv3.WithPrefix()),
		clientv3.OpGet(c.keys.haves(), clientv3.WithPrefix()),
	).Commit()
	if err != nil {
		return nil, fmt.Errorf("reading the cluster: %w", c.unreachable(err))
	}
	out := &Snapshot{Revision: response.Header.GetRevision(), byID: make(map[string]int)}
	kvs := func(i int) []*mvccpb.KeyValue { return response.Responses[i].GetResponseRange().GetKvs() }
	for _, kv := range kvs(0) {
		out.Leader, out.leader = string(kv.GetValue()), recordOf(kv)
	}
	for i, add := range []func(*Client, *mvccpb.KeyValue) error{out.addWorker, out.addWant, out.addHave} {
		for _, kv := range kvs(i + 1) {
			if err := add(c, kv); err != nil {
				return nil, fmt.Errorf("reading the cluster: %w", err)
			}
		}
	}
	out.sort()
	return out, nil
}

func (s *Snapshot) addWorker(c *Client, kv *mvccpb.KeyValue) (err error) {
	entry := s.entry(strings.TrimPrefix(string(kv.GetKey()), c.keys.workers()))
	entry.worker = recordOf(kv)
	entry.Worker, err = decodeWorker(entry.worker.key, entry.ID, kv.GetValue())
	return err
}

func (s *Snapshot) addWant(c *Client, kv *mvccpb.KeyValue) (err error) {
	entry := s.entry(strings.TrimPrefix(string(kv.GetKey()), c.keys.wants()))
	entry.want = recordOf(kv)
	entry.Want, err = decodeWant(entry.want.key, kv.GetValue())
	return err
}

func (s *Snapshot) addHave(c *Client, kv *mvccpb.KeyValue) (err error) {
	entry := s.entry(strings.TrimPrefix(string(kv.GetKey()), c.keys.haves()))
	entry.have = recordOf(kv)
	entry.Have, err = decodeHave(entry.have.key, kv.GetValue())
	return err
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
