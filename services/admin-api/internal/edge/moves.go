// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"context"
	"slices"
	"time"

	"mailpush.internal/services/admin-api/internal/registry"
)

// moveTime is how long the mailboxes of a mail store have no owner when it is given another
// backend: those who had them are told at once, and read again within that time. Without it
// two workers would push the same mail for a moment.
const moveTime = 10 * time.Second

// Move brings mailboxes from the owners of one backend to those of another, of the mail
// stores whose backend is another now than the given former one. It returns when all
// owners were told, or ctx has ended.
func (e *Edge) Move(ctx context.Context, former map[string]string) {
	if len(former) == 0 {
		return
	}
	var from, to []string
	for store, backend := range former {
		e.Log.InfoContext(ctx, "mail store has another backend, its mailboxes move",
			"mail_store", store, "from", backend, "to", e.Policy.Stores[store])
		from, to = append(from, backend), append(to, e.Policy.Stores[store])
	}
	e.tellAll(ctx, from)
	select {
	case <-time.After(moveTime):
		e.tellAll(ctx, to)
	case <-ctx.Done(): // they read again by themselves within minutes
	}
}

// tellAll tells all owners of shards of the backends.
func (e *Edge) tellAll(ctx context.Context, backends []string) {
	slices.Sort(backends)
	for _, backend := range slices.Compact(backends) {
		shards, err := e.Store.OpenedShards(ctx, backend)
		if err != nil {
			e.Log.WarnContext(ctx, "owners not told of a move", "backend", backend, "error", err)
		}
		for _, number := range shards {
			e.tell(ctx, registry.Shard{Backend: backend, Number: number})
		}
	}
}

// placed are the mail stores whose mailboxes the backend's owners may have by now. What
// another replica has noted of a mail store later than this one counts: its configuration
// is the newer one.
func (s Shards) placed(ctx context.Context, backend string) ([]string, error) {
	placements, err := s.Mailboxes.Placements(ctx)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	return slices.DeleteFunc(s.Policy.StoresOf(backend), func(store string) bool {
		p, noted := placements[store]
		// Another replica has noted it by its own clock. One that is wrong must not keep
		// mailboxes without an owner for as long as it is ahead.
		return noted && (p.Backend != backend || now.Sub(p.Since).Abs() < moveTime)
	}), nil
}
