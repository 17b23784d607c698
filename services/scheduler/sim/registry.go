// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"mailpush.internal/pkg/hold"
)

// registry is the sink: it knows the newest epoch of each shard.
type registry struct {
	server

	world  *world
	epochs map[uint32]uint64
}

// open opens the claims' epochs and returns those that are refused.
func (r *registry) open(claims []hold.Claim) []hold.Claim {
	var refused []hold.Claim
	for _, claim := range claims {
		if !r.accepts(claim) {
			refused = append(refused, claim)
			continue
		}
		if r.world.mutation != forgetOpened {
			r.epochs[claim.Shard] = claim.Epoch
		}
		r.world.opened[claim.Shard] = max(r.world.opened[claim.Shard], claim.Epoch)
	}
	return refused
}

// commit stores something under a claim, as a cursor is stored.
func (r *registry) commit(claim hold.Claim) bool { return r.accepts(claim) }

// accepts tells whether no higher epoch is open.
func (r *registry) accepts(claim hold.Claim) bool {
	accepted := claim.Epoch >= r.epochs[claim.Shard] || r.world.mutation == acceptLower
	if accepted {
		r.world.accepted(claim)
	}
	return accepted
}

// newest is the highest epoch ever opened.
func (r *registry) newest() uint64 {
	var epoch uint64
	for _, e := range r.epochs {
		epoch = max(epoch, e)
	}
	return epoch
}
