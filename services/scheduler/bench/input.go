// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strconv"

	"mailpush.internal/pkg/shard"
)

// listenersByShard counts where users of one context end up, a listener each.
func listenersByShard(size dimensions) []uint32 {
	counts := make([]uint32, size.shards)
	for user := range size.listeners {
		counts[shard.Of("1", strconv.Itoa(user), uint32(size.shards))]++
	}
	return counts
}
