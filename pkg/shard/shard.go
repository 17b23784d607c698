// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package shard maps users to shards, the unit of assignment. Invariant: a user's
// hash never changes, and doubling the number of shards splits each shard in two
// without moving any user between unrelated shards.
package shard

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
)

// ID names one shard of one backend.
type ID struct {
	// Backend is how the users of the shard are noticed.
	Backend string
	// Number is the shard's number, below the number of shards.
	Number uint32
}

// Compare orders by backend, then by number.
func (id ID) Compare(other ID) int {
	return cmp.Or(cmp.Compare(id.Backend, other.Backend), cmp.Compare(id.Number, other.Number))
}

// Hash is the stable 64-bit hash of a user; its top bits are the shard.
func Hash(contextID, userID string) uint64 {
	// The length in front keeps ("1", "23") apart from ("12", "3").
	key := binary.BigEndian.AppendUint32(nil, uint32(len(contextID)))
	key = append(key, contextID...)
	key = append(key, userID...)
	sum := sha256.Sum256(key)
	return binary.BigEndian.Uint64(sum[:8])
}

// Of returns the shard of a user among shards, which must be a power of two.
func Of(contextID, userID string, shards uint32) uint32 {
	return OfHash(Hash(contextID, userID), shards)
}

// OfHash returns the shard of a hash among shards, which must be a power of two.
func OfHash(hash uint64, shards uint32) uint32 {
	hi, _ := bits.Mul64(hash, uint64(shards))
	return uint32(hi)
}
