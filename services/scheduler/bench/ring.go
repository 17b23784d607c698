// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"slices"
)

// ring is consistent hashing (Karger et al., 1997): each worker is at many points of a
// circle, and a shard belongs to the worker at the next point.
func ring(virtualNodes int) hashing {
	return func(workers []int, shards int) placement {
		points := ringPoints(workers, virtualNodes)
		out := make(placement, shards)
		for shard := range out {
			i, _ := slices.BinarySearchFunc(points, shardHash(shard), func(p point, hash uint64) int { return cmp.Compare(p.at, hash) })
			out[shard] = points[i%len(points)].worker
		}
		return out
	}
}

type point struct {
	at     uint64
	worker int
}

func ringPoints(workers []int, virtualNodes int) []point {
	points := make([]point, 0, len(workers)*virtualNodes)
	for _, worker := range workers {
		for node := range virtualNodes {
			points = append(points, point{mix(mix(uint64(worker)) + uint64(node)), worker})
		}
	}
	slices.SortFunc(points, func(x, y point) int { return cmp.Compare(x.at, y.at) })
	return points
}
