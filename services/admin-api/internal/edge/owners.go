// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"mailpush.internal/services/admin-api/internal/registry"
)

const (
	// askTime bounds the question to one worker: a worker that hangs must not hold
	// up the list of the others.
	askTime = 5 * time.Second
	// askAtOnce bounds how many workers are asked side by side.
	askAtOnce = 32
)

// byOwner sorts users by the worker that reports to run their shard; of two that
// do, the one with the higher epoch is the owner.
func (e *Edge) byOwner(users []registry.User, workers []Worker) map[string]*question {
	owners := ownersOf(workers)
	out := make(map[string]*question)
	for _, u := range users {
		o, ok := owners[registry.Shard{Backend: e.Policy.Stores[u.Store], Number: registry.ShardOf(u.UserID, e.Shards)}]
		if !ok {
			continue
		}
		q := out[o.worker.ID]
		if q == nil {
			q = &question{worker: o.worker}
			out[o.worker.ID] = q
		}
		q.users = append(q.users, u.UserID)
	}
	return out
}

// owner is who reports to run a shard, and under which epoch.
type owner struct {
	worker *Worker
	epoch  uint64
}

// ownersOf are the owners of all shards that workers report to run.
func ownersOf(workers []Worker) map[registry.Shard]owner {
	owners := make(map[registry.Shard]owner)
	for i, w := range workers {
		for _, c := range w.Held {
			if o, ok := owners[c.Shard]; !ok || o.epoch < c.Epoch {
				owners[c.Shard] = owner{&workers[i], c.Epoch}
			}
		}
	}
	return owners
}

// holderOf is the owner of one shard, nil when nobody reports to run it.
func holderOf(of registry.Shard, workers []Worker) *Worker { return ownersOf(workers)[of].worker }

// question is what one worker is asked for.
type question struct {
	worker *Worker
	users  []registry.UserID
}

// silence names, for each user, the worker that did not answer for it.
type silence map[registry.UserID]string

// ask asks the workers side by side, and returns all that they have said.
func ask[T any](
	ctx context.Context, log *slog.Logger, questions map[string]*question,
	call func(ctx context.Context, w *Worker, users []registry.UserID) ([]T, error),
) (all []T, silent silence) {
	silent = make(silence)
	var mu sync.Mutex
	var group errgroup.Group
	group.SetLimit(askAtOnce)
	for _, q := range questions {
		group.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, askTime)
			defer cancel()
			said, err := call(ctx, q.worker, q.users)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				log.WarnContext(ctx, "worker did not answer", "worker", q.worker.ID, "error", err)
				for _, u := range q.users {
					silent[u] = q.worker.ID
				}
			}
			all = append(all, said...)
			return nil
		})
	}
	_ = group.Wait() // the questions return no error: a silent worker is part of the answer
	return all, silent
}
