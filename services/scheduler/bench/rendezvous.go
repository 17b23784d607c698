// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

// rendezvous is highest random weight hashing (Thaler and Ravishankar, 1998): a shard
// belongs to the worker with the highest hash of the two.
func rendezvous(workers []int, shards int) placement {
	hashes := make([]uint64, len(workers))
	for i, worker := range workers {
		hashes[i] = mix(uint64(worker))
	}
	out := make(placement, shards)
	for shard := range out {
		hash, best := shardHash(shard), uint64(0)
		for i, worker := range workers {
			if score := mix(hash ^ hashes[i]); score >= best {
				out[shard], best = worker, score
			}
		}
	}
	return out
}
