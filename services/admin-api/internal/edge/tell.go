// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"context"
	"maps"
	"slices"
	"sync"

	"mailpush.internal/services/admin-api/internal/registry"
)

// untold are the shards whose owners could not be told of a change. They are kept in
// memory only: an owner reads again within 5 minutes even when nobody tells it.
type untold struct {
	mu     sync.Mutex
	shards map[registry.Shard]bool
}

func (u *untold) add(at registry.Shard) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.shards == nil {
		u.shards = make(map[registry.Shard]bool)
	}
	u.shards[at] = true
}

func (u *untold) remove(at registry.Shard) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.shards, at)
}

func (u *untold) list() []registry.Shard {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Collect(maps.Keys(u.shards))
}

// touch tells the owners of the user's shard, under the backends of both mail
// stores when the user has moved, that the registry has changed.
func (e *Edge) touch(ctx context.Context, user registry.UserID, stores ...string) {
	var told []string
	for _, s := range stores {
		if backend := e.Policy.Stores[s]; backend != "" && !slices.Contains(told, backend) {
			e.tell(ctx, registry.Shard{Backend: backend, Number: registry.ShardOf(user, e.Shards)})
			told = append(told, backend)
		}
	}
}

// tell tells the owner of a shard that the registry has changed, and says whether it
// could. That it could not is no error: the change is stored, to ask for it again would
// find it done, and Run makes up for it.
func (e *Edge) tell(ctx context.Context, at registry.Shard) bool {
	ctx, cancel := unhurried(ctx)
	defer cancel()
	e.untold.remove(at) // first: a change that comes meanwhile adds it again
	if err := e.Cluster.Touch(ctx, at.Backend, at.Number); err != nil {
		e.untold.add(at)
		e.telling.Failed(ctx, err, "backend", at.Backend, "shard", at.Number)
		return false
	}
	e.telling.Worked(ctx)
	return true
}

// TellUntold tells the owners that could not be told so far. It stops at the first that
// still cannot: it is etcd that does not answer.
func (e *Edge) TellUntold(ctx context.Context) {
	for _, at := range e.untold.list() {
		if !e.tell(ctx, at) {
			return
		}
	}
}
