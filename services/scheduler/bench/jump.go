// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

// jump is jump consistent hashing (Lamping and Veach, 2014): no memory and even, but
// workers are numbered, and only the last number can go.
func jump(workers []int, shards int) placement {
	out := make(placement, shards)
	for shard := range out {
		out[shard] = workers[jumpHash(shardHash(shard), len(workers))]
	}
	return out
}

// jumpHash is figure 1 of the paper.
func jumpHash(key uint64, buckets int) int {
	bucket, next := int64(-1), int64(0)
	for next < int64(buckets) {
		bucket = next
		key = key*2862933555777941757 + 1
		next = int64(float64(bucket+1) * (float64(int64(1)<<31) / float64(key>>33+1)))
	}
	return int(bucket)
}
