// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"sync"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/services/admin-api/internal/decide"
	"mailpush.internal/services/admin-api/internal/registry"
)

// Retried is what became of listeners that were to try again.
type Retried struct {
	// Listeners is how many do.
	Listeners uint32
	// Suspended is how many do not, for their credential was refused.
	Suspended uint32
	// Silent are the ids of workers that did not answer.
	Silent []string
}

// Retry has listeners try again that are in back-off: those of a mail store, or of all where
// none is named. Each worker lets them go in turn and at the mail store's pace.
func (e *Edge) Retry(ctx context.Context, store string) (Retried, error) {
	if store != "" && e.Stores[store] == nil {
		return Retried{}, fault.New(fault.NotFound, "no mail store is called %q; there are: %s",
			store, strings.Join(slices.Sorted(maps.Keys(e.Stores)), ", "))
	}
	members, err := e.Scheduler.Members(ctx)
	if err != nil {
		return Retried{}, err
	}
	questions := make(map[string]*question)
	for i, w := range members.Workers {
		questions[w.ID] = &question{worker: &members.Workers[i]}
	}
	did := e.retry(ctx, questions, store)
	e.Log.InfoContext(ctx, "listeners told to try again", "mail_store", cmp.Or(store, "all"),
		"listeners", did.Listeners, "silent_workers", len(did.Silent))
	return did, nil
}

// RetryUser is Retry for one user. A suspended listener is not tried: its credential was
// refused, and takes a new one.
func (e *Edge) RetryUser(ctx context.Context, user registry.UserID) (Retried, error) {
	u, err := e.Store.User(ctx, user)
	if err != nil {
		return Retried{}, err
	}
	if d := decide.Listener(e.Policy, u, decide.NotAsked); d.Last() == decide.CheckCredential && !d.OK() {
		return Retried{Suspended: 1}, nil
	}
	members, err := e.Scheduler.Members(ctx)
	if err != nil {
		return Retried{}, err
	}
	did := e.retry(ctx, e.byOwner([]registry.User{u}, members.Workers), "")
	e.Log.InfoContext(ctx, "listener told to try again", "user", user, "listeners", did.Listeners, "silent_workers", len(did.Silent))
	return did, nil
}

// retry asks the workers, each for the one user it is asked about, if any.
func (e *Edge) retry(ctx context.Context, questions map[string]*question, store string) (sum Retried) {
	var mu sync.Mutex
	said, _ := ask(ctx, e.Log, questions, func(ctx context.Context, w *Worker, users []registry.UserID) ([]Retried, error) {
		var user registry.UserID
		if len(users) > 0 {
			user = users[0]
		}
		did, err := e.Workers.Retry(ctx, w.Address, store, user)
		if err != nil {
			mu.Lock()
			defer mu.Unlock()
			sum.Silent = append(sum.Silent, w.ID)
			return nil, err
		}
		return []Retried{did}, nil
	})
	for _, did := range said {
		sum.Listeners += did.Listeners
		sum.Suspended += did.Suspended
	}
	slices.Sort(sum.Silent)
	return sum
}
