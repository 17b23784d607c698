// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"mailpush.internal/services/admin-api/internal/registry"
)

// Why a subscription ends, as its endpoint is told.
const (
	reasonUnsubscribed = "unsubscribed"
	reasonUnregistered = "unregistered"
	reasonGone         = "gone"
)

const (
	// endingTime bounds what is done for endpoints of subscriptions that are removed: the
	// secrets that sign it are still to be erased.
	endingTime = 2 * time.Second
	// endingWorkers is how many workers are asked when one does not answer.
	endingWorkers = 2
)

// tellEnding has a live worker tell the endpoints of removed subscriptions that nothing
// follows. It is a courtesy: they are removed already, and what cannot be told at once is
// not told. Endpoints that never wanted pushes get none now.
func (e *Edge) tellEnding(ctx context.Context, removed registry.Removed, reason string) {
	told := slices.DeleteFunc(slices.Clone(removed.Subscriptions), func(s registry.Subscription) bool {
		return !s.Endpoint.Confirmed || s.Target.Wire() == nil
	})
	if len(told) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endingTime)
	defer cancel()
	members, err := e.Scheduler.Members(ctx)
	workers := slices.DeleteFunc(slices.Clone(members.Workers), func(w Worker) bool { return w.Address == "" })
	rand.Shuffle(len(workers), func(i, j int) { workers[i], workers[j] = workers[j], workers[i] })
	for _, w := range workers[:min(len(workers), endingWorkers)] {
		if err = e.Workers.SendEndings(ctx, w.Address, removed.User.UserID, told, reason); err == nil {
			return
		}
	}
	e.Log.InfoContext(ctx, "endpoints not told that their subscriptions end", "user", removed.User.UserID,
		"subscriptions", len(told), "workers", len(workers), "error", err)
}
