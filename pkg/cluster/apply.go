// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/protobuf/proto"

	clusterv1 "mailpush.internal/proto/gen/mailpush/cluster/v1"
)

// MaxOps is how many comparisons, and how many writes, etcd takes in one transaction.
const MaxOps = 128

// ErrConflict means that the cluster has moved on since the snapshot: read again.
var ErrConflict = errors.New("the cluster has changed since it was read")

// Update is one change of the plan: all of it lands, or none.
type Update struct {
	// Put holds the new wants, by worker id.
	Put map[string]*clusterv1.Want
	// Remove names gone workers whose want and have are deleted.
	Remove []string
	// Alive names workers that must still be registered as in the snapshot.
	Alive []string
	// Gone names workers that must not be registered.
	Gone []string
	// Unmoved names workers whose have must still be that of the snapshot.
	Unmoved []string
}

// Apply makes one change to the plan as it is in the snapshot, and brings the
// snapshot's wants up to date so that the next change can follow. After ErrConflict,
// and after any other error, whose outcome is unknown, read again. ErrDeposed means
// that the term is over.
//
// Every change compares and rewrites the leader's own key. So a change lands only
// while the term lasts, and only on the very plan that was read: one that was given
// up as lost cannot land after a later one.
func (t *Term) Apply(ctx context.Context, snapshot *Snapshot, update Update) error {
	if snapshot.leader.key != t.key || snapshot.leader.created != t.created {
		return ErrDeposed
	}
	writes, err := t.writes(update)
	if err != nil {
		return fmt.Errorf("changing the plan: %w", err)
	}
	compares := t.compares(snapshot, update)
	if len(compares) > MaxOps || len(writes) > MaxOps {
		return fmt.Errorf("changing the plan: %d comparisons and %d writes are too many for one transaction", len(compares), len(writes))
	}
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	response, err := t.client.etcd.Txn(ctx).If(compares...).Then(writes...).
		Else(clientv3.OpGet(t.key, clientv3.WithKeysOnly())).Commit()
	if err != nil {
		return fmt.Errorf("changing the plan: %w", t.client.unreachable(err))
	}
	if !response.Succeeded {
		if found := response.Responses[0].GetResponseRange().GetKvs(); len(found) == 0 || found[0].GetCreateRevision() != t.created {
			return ErrDeposed
		}
		return ErrConflict
	}
	snapshot.applied(t.client.keys, update, response.Header.GetRevision())
	return nil
}

func (t *Term) compares(snapshot *Snapshot, update Update) []clientv3.Cmp {
	created := func(key string, revision int64) clientv3.Cmp {
		return clientv3.Compare(clientv3.CreateRevision(key), "=", revision)
	}
	modified := func(key string, revision int64) clientv3.Cmp {
		return clientv3.Compare(clientv3.ModRevision(key), "=", revision)
	}
	keys := t.client.keys
	out := []clientv3.Cmp{created(t.key, t.created), modified(t.key, snapshot.leader.modified)}
	for id := range update.Put {
		out = append(out, modified(keys.want(id), snapshot.find(id).want.modified))
	}
	for _, id := range update.Alive {
		// A worker that is not there has no revision to compare: -1 is never true.
		revision := snapshot.find(id).worker.created
		if revision == 0 {
			revision = -1
		}
		out = append(out, created(keys.worker(id), revision))
	}
	for _, id := range update.Gone {
		out = append(out, created(keys.worker(id), 0))
	}
	for _, id := range update.Unmoved {
		out = append(out, modified(keys.have(id), snapshot.find(id).have.modified))
	}
	for _, id := range update.Remove {
		// What was written there since is not the leader's to remove.
		entry := snapshot.find(id)
		out = append(out, created(keys.worker(id), 0), modified(keys.want(id), entry.want.modified), modified(keys.have(id), entry.have.modified))
	}
	return out
}

func (t *Term) writes(update Update) ([]clientv3.Op, error) {
	keys := t.client.keys
	out := []clientv3.Op{clientv3.OpPut(t.key, "", clientv3.WithIgnoreValue(), clientv3.WithIgnoreLease())}
	for id, want := range update.Put {
		want = proto.CloneOf(want)
		want.Format = format
		value, err := encode(want)
		if err != nil {
			return nil, err
		}
		out = append(out, clientv3.OpPut(keys.want(id), value))
	}
	for _, id := range update.Remove {
		out = append(out, clientv3.OpDelete(keys.want(id)), clientv3.OpDelete(keys.have(id)))
	}
	return out, nil
}

// find returns what is known of an id; the zero Entry when nothing is.
func (s *Snapshot) find(id string) Entry {
	if i, known := s.byID[id]; known {
		return s.Entries[i]
	}
	return Entry{ID: id}
}

// applied brings the snapshot up to date with a change that landed at revision.
func (s *Snapshot) applied(keys layout, update Update, revision int64) {
	s.Revision, s.leader.modified = revision, revision
	for id, want := range update.Put {
		entry := s.entry(id)
		entry.Want = want
		entry.want.key, entry.want.modified = keys.want(id), revision
	}
	for _, id := range update.Remove {
		entry := s.entry(id)
		entry.Want, entry.Have = nil, nil
		entry.want, entry.have = record{}, record{}
	}
}
