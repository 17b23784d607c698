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

// Seat is an account of the vault that is about to be filled.
type Seat struct {
	registry.Erasure

	Above uint64 // the version of what it is to replace
}

// reserveTime is for how long a seat waits to be named. A call is done in a minute.
const reserveTime = 5 * time.Minute

// freshSlot is a slot that nothing is in. Nor has anything been, but for a chance that
// counts only while a deletion of what was there is still on its way to the vault.
func freshSlot(used ...uint32) uint32 {
	for {
		slot := registry.FirstSlot + rand.Uint32N(registry.MaxSlot-registry.FirstSlot)
		if !slices.Contains(used, slot) {
			return slot
		}
	}
}

// seal fills a seat. It is noted before: whatever becomes of this process, what a row
// does not come to name leaves the vault.
func (e *Edge) seal(ctx context.Context, at Seat, fill func(context.Context, Seat) (uint64, error)) (version uint64, err error) {
	if err := e.Store.Reserve(ctx, at.Erasure, time.Now().Add(reserveTime)); err != nil {
		return 0, err
	}
	return fill(ctx, at)
}

// giveUp erases what was sealed for a call that has failed, unless a row names it all
// the same: the answer of a commit may be lost. It is not for a seat whose sealing has
// failed: the vault may still be at it, so that one is left to its time.
func (e *Edge) giveUp(ctx context.Context, sealed ...registry.Erasure) {
	ctx, cancel := unhurried(ctx)
	defer cancel()
	free, err := e.Store.Condemn(ctx, sealed)
	if err != nil {
		e.Log.WarnContext(ctx, "what was sealed in vain is erased later", "error", err)
	}
	e.erase(ctx, free)
}
