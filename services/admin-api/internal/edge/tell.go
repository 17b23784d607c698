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

// slot names a shard of a backend.
type slot struct {
	backend string
	shard   uint32
}

// untold are the shards whose owners could not be told of a change. They are kept in
// memory only: an owner reads again within 5 minutes even when nobody tells it.
type untold struct {
	mu    sync.Mutex
	slots map[slot]bool
}

func (u *untold) add(at slot) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.slots == nil {
		u.slots = make(map[slot]bool)
	}
	u.slots[at] = true
}

func (u *untold) remove(at slot) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.slots, at)
}

func (u *untold) list() []slot {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Collect(maps.Keys(u.slots))
}

// touch tells the owners of the user's shard, under the backends of both mail
// stores when the user has moved, that the registry has changed.
func (e *Edge) touch(ctx context.Context, user registry.UserID, stores ...string) {
	var told []string
	for _, s := range stores {
		if backend := e.Policy.Stores[s]; backend != "" && !slices.Contains(told, backend) {
			e.tell(ctx, slot{backend, registry.ShardOf(user, e.Shards)})
			told = append(told, backend)
		}
	}
}

// tell tells the owner of a shard that the registry has changed, and says whether it
// could. That it could not is no error: the change is stored, to ask for it again would
// find it done, and Run makes up for it.
func (e *Edge) tell(ctx context.Context, at slot) bool {
	ctx, cancel := unhurried(ctx)
	defer cancel()
	e.untold.remove(at) // first: a change that comes meanwhile adds it again
	if err := e.Cluster.Touch(ctx, at.backend, at.shard); err != nil {
		e.untold.add(at)
		e.Log.WarnContext(ctx, "owner not told of a change yet", "backend", at.backend, "shard", at.shard, "error", err)
		return false
	}
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
