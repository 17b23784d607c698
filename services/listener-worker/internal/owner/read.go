// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package owner

import (
	"context"
	"time"

	"mailpush.internal/pkg/hold"
)

// readTimeout bounds a read of many pages. Each call of it has a bound of its own: a registry
// that answers them one by one, if slowly, must not be asked for all of them again.
const readTimeout = 5 * time.Minute

// loaded is the answer to a read, with what was read.
type loaded struct {
	hold.Loaded

	listing Listing
}

// read makes the calls of a read, beside the membership's goroutine.
func (m *membership) read(read hold.Read) {
	m.loop.Go(func() {
		listing, err := m.list(read)
		switch {
		case err == nil:
			m.loading.Worked(m.ctx)
		case m.ctx.Err() == nil:
			m.loading.Failed(m.ctx, err, "backend", read.Backend, "shards", len(read.Claims))
		}
		answer := loaded{hold.Loaded{Read: read, Refused: listing.Refused, Failed: err != nil}, listing}
		m.loop.Post(func() { m.step(answer) })
	})
}

func (m *membership) list(read hold.Read) (Listing, error) {
	ctx, cancel := context.WithTimeout(m.ctx, readTimeout)
	defer cancel()
	var fenced []hold.Claim
	claims := read.Claims
	if read.Open {
		refused, err := m.registry.OpenEpoch(ctx, claims)
		if err != nil {
			return Listing{}, err
		}
		fenced, claims = refused, without(claims, refused)
	}
	if len(claims) == 0 {
		return Listing{Refused: fenced}, nil
	}
	listing, err := m.registry.ListShards(ctx, claims, read.Users)
	listing.Refused = append(listing.Refused, fenced...)
	return listing, err
}

func without(claims, refused []hold.Claim) []hold.Claim {
	if len(refused) == 0 {
		return claims
	}
	out := make(map[hold.Claim]bool, len(refused))
	for _, claim := range refused {
		out[claim] = true
	}
	var left []hold.Claim
	for _, claim := range claims {
		if !out[claim] {
			left = append(left, claim)
		}
	}
	return left
}
