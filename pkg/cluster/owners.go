// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"mailpush.internal/pkg/condition"
	"mailpush.internal/pkg/shard"
	clusterv1 "mailpush.internal/proto/gen/mailpush/cluster/v1"
)

const (
	// ownersPause is how long the owners are not read again: who takes many shards over
	// reports many times.
	ownersPause = 100 * time.Millisecond
	// ownersRetry is when to read again what could not be read.
	ownersRetry = time.Second
)

// Owner is a live worker that says that it runs a shard.
type Owner struct {
	// ID is the worker's id, Address where its WorkerService is.
	ID, Address string
	// Epoch is the one it runs the shard under.
	Epoch uint64
}

// Owners are who runs which shard, by the workers' own word at one moment. They do not
// change.
type Owners map[string][]*Owner // by backend, then by the shard's number; nil for nobody

// Of is who runs a shard; false when nobody says so.
func (o Owners) Of(id shard.ID) (Owner, bool) {
	of := o[id.Backend]
	if uint64(id.Number) >= uint64(len(of)) || of[id.Number] == nil {
		return Owner{}, false
	}
	return *of[id.Number], true
}

// add takes in what a worker says; of two that run a shard the one with the higher epoch
// is the owner.
func (o Owners) add(worker *clusterv1.Worker, have *clusterv1.Have, shards uint32) {
	for _, set := range have.GetHeld() {
		of := o[set.GetBackend()]
		if of == nil {
			of = make([]*Owner, shards)
			o[set.GetBackend()] = of
		}
		for i, number := range set.GetShards() {
			if number < shards && (of[number] == nil || of[number].Epoch < set.GetEpochs()[i]) {
				of[number] = &Owner{worker.GetId(), worker.GetAddress(), set.GetEpochs()[i]}
			}
		}
	}
}

// Owners sends who runs which shard, at once and whenever it may have changed. The
// channel is closed when ctx ends.
func (c *Client) Owners(ctx context.Context) <-chan Owners {
	out := make(chan Owners)
	go func() {
		defer close(out)
		reading := condition.New(c.log, slog.LevelWarn, "the owners of shards could not be read")
		for range c.Watch(ctx) {
			owners, err := c.owners(ctx)
			for ; err != nil && wait(ctx, ownersRetry); owners, err = c.owners(ctx) {
				reading.Failed(ctx, err)
			}
			reading.Worked(ctx)
			select {
			case out <- owners:
			case <-ctx.Done():
				return
			}
			wait(ctx, ownersPause)
		}
	}()
	return out
}

// wait waits and tells whether ctx has not ended.
func wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// owners reads the live workers with what they run. Keys that are not to be trusted are
// passed over: the scheduler tells of them.
func (c *Client) owners(ctx context.Context) (Owners, error) {
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	response, err := c.etcd.Txn(ctx).Then(
		clientv3.OpGet(c.keys.workers(), clientv3.WithPrefix()),
		clientv3.OpGet(c.keys.haves(), clientv3.WithPrefix()),
	).Commit()
	if err != nil {
		return nil, fmt.Errorf("reading the owners of shards: %w", c.unreachable(err))
	}
	snapshot := &Snapshot{byID: make(map[string]int)}
	for _, kv := range response.Responses[0].GetResponseRange().GetKvs() {
		snapshot.addWorker(c.keys, kv)
	}
	for _, kv := range response.Responses[1].GetResponseRange().GetKvs() {
		snapshot.addHave(c.keys, kv)
	}
	owners := make(Owners)
	for _, entry := range snapshot.Entries {
		if entry.Worker != nil && entry.Have != nil {
			owners.add(entry.Worker, entry.Have, c.settings.GetShards())
		}
	}
	return owners, nil
}
