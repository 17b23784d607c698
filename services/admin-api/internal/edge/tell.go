// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"context"
	"maps"
	"slices"
	"sync"

	"mailpush.internal/pkg/shard"
	"mailpush.internal/pkg/userid"
	"mailpush.internal/services/admin-api/internal/registry"
)

// untold are the changes of shards whose owners could not be told of them. They are kept in
// memory only: an owner reads again within 5 minutes even when nobody tells it.
type untold struct {
	mu      sync.Mutex
	changes map[registry.Shard]shard.Change
}

func (u *untold) add(at registry.Shard, change shard.Change) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.changes == nil {
		u.changes = make(map[registry.Shard]shard.Change)
	}
	if before, waits := u.changes[at]; waits {
		change = before.Merge(change)
	}
	u.changes[at] = change
}

// take takes out what was not told of a shard yet.
func (u *untold) take(at registry.Shard) (change shard.Change, waits bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	change, waits = u.changes[at]
	delete(u.changes, at)
	return change, waits
}

func (u *untold) list() []registry.Shard {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Collect(maps.Keys(u.changes))
}

// touch tells the owners of the user's shard, under the backends of both mail
// stores when the user has moved, that the registry has changed.
func (e *Edge) touch(ctx context.Context, user registry.UserID, stores ...string) {
	var told []registry.Shard
	for at := range e.shardsOf(user, stores...) {
		if !slices.Contains(told, at) {
			e.tell(ctx, at, user)
			told = append(told, at)
		}
	}
}

// tell tells the owner of a shard that the registry has changed, of users of it or, with
// none, of any of them. That it could not is no error: the change is stored, to ask for it
// again would find it done, and Run makes up for it.
func (e *Edge) tell(ctx context.Context, at registry.Shard, users ...registry.UserID) {
	named := make([]userid.User, len(users))
	for i, user := range users {
		named[i] = userid.User{Context: user.Context, ID: user.User}
	}
	e.untold.add(at, shard.ChangeOf(named...))
	e.tellWaiting(ctx, at)
}

// tellWaiting tells the owner of a shard what waits to be told, and says whether it could.
func (e *Edge) tellWaiting(ctx context.Context, at registry.Shard) bool {
	change, waits := e.untold.take(at) // first: what comes meanwhile waits again
	if !waits {
		return true // another call has told it
	}
	ctx, cancel := unhurried(ctx)
	defer cancel()
	if err := e.Cluster.Touch(ctx, at, change); err != nil {
		e.untold.add(at, change)
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
		if !e.tellWaiting(ctx, at) {
			return
		}
	}
}
