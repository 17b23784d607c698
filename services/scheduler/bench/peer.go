// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import "slices"

// hashing places shards on workers, given by their ids, without a look at the loads.
type hashing func(workers []int, shards int) placement

// measurePeer measures a way of hashing, which has no memory and decides anew.
func measurePeer(size dimensions, name string, place hashing) outcome {
	workers := make([]int, size.workers)
	for i := range workers {
		workers[i] = i
	}
	leaver := size.workers / 2
	joined := append(slices.Clone(workers), size.workers)
	left := slices.Clone(workers[:size.workers-1])
	// The last takes the place of the one that is lost: what suits jump hash best, and
	// is all the same to the others.
	left[leaver] = size.workers - 1

	decide := func(workers []int) func() { return func() { place(workers, size.shards) } }
	return outcome{
		name:   name,
		full:   median(size.runs, decide(workers)),
		join:   median(size.runs, decide(joined)),
		leave:  median(size.runs, decide(left)),
		before: place(workers, size.shards),
		joined: place(joined, size.shards),
		left:   place(left, size.shards),
		leaver: leaver,
	}
}

// mix spreads a number over 64 bits: the finalizer of SplitMix64.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// shardHash keeps the hashes of shards apart from those of workers.
func shardHash(shard int) uint64 { return mix(mix(uint64(shard)) ^ 0x5368617264) }
