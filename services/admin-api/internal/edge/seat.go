// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"mailpush.internal/pkg/secret"
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

// Secret is what a seat is filled with: a [Password], a [Master], a [SigningKey] or
// [SealedHeaders].
type Secret interface{ sealable() }

// Password is a login with its own password.
type Password struct {
	Login    string
	Password secret.String
}

// Master is a login that the master user opens.
type Master struct{ Login string }

// SigningKey signs the pushes of a subscription.
type SigningKey struct{ Key secret.String }

// SealedHeaders are headers for the endpoints of one origin.
type SealedHeaders struct {
	Origin  string
	Headers []Header
}

func (Password) sealable()      {}
func (Master) sealable()        {}
func (SigningKey) sealable()    {}
func (SealedHeaders) sealable() {}

// Sealing is a seat, and what it is to be filled with.
type Sealing struct {
	Seat
	Secret
}

// sealing is one that somebody waits for the version of.
type sealing struct {
	Sealing
	took func(version uint64)
}

func accountsOf(list []sealing) []registry.Erasure {
	out := make([]registry.Erasure, len(list))
	for i, s := range list {
		out[i] = s.Erasure
	}
	return out
}

// sealOne fills a seat. It is noted before: whatever becomes of this process, what a row
// does not come to name leaves the vault.
func (e *Edge) sealOne(ctx context.Context, s Sealing) (version uint64, err error) {
	if err := e.Store.Reserve(ctx, []registry.Erasure{s.Erasure}, time.Now().Add(reserveTime)); err != nil {
		return 0, err
	}
	versions, err := e.Vault.Seal(ctx, []Sealing{s})
	if err != nil {
		return 0, err
	}
	return versions[0], nil
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
