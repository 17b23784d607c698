// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"context"
	"slices"

	"mailpush.internal/pkg/fault"
)

// Drain has a live worker's shards moved to others, or lets it take shards again. It
// returns when the worker has taken the word in, which is long before all shards
// have moved. Saying it twice changes nothing.
func (e *Edge) Drain(ctx context.Context, id string, draining bool) error {
	members, err := e.Scheduler.Members(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(members.Workers, func(w Worker) bool { return w.ID == id })
	if i < 0 {
		return fault.New(fault.NotFound, "no live worker has the id %q", id)
	}
	if err := e.Workers.SetDraining(ctx, members.Workers[i].Address, id, draining); err != nil {
		return err
	}
	e.Log.InfoContext(ctx, "worker told", "worker", id, "draining", draining)
	return nil
}
