// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"time"
)

// moves counts the shards that change their worker.
func moves(from, to placement) int {
	count := 0
	for shard, worker := range from {
		if to[shard] != worker {
			count++
		}
	}
	return count
}

// of counts a worker's shards.
func (p placement) of(worker int) int {
	count := 0
	for _, owner := range p {
		if owner == worker {
			count++
		}
	}
	return count
}

// imbalance is the most listeners a worker has over the mean of all.
func (p placement) imbalance(weights []uint32, workers int) float64 {
	loads := make(map[int]uint32, workers)
	var total, most uint32
	for shard, worker := range p {
		loads[worker] += weights[shard]
		total, most = total+weights[shard], max(most, loads[worker])
	}
	return float64(most) * float64(workers) / float64(total)
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func report(w io.Writer, size dimensions, weights []uint32, all []outcome) {
	share := (size.shards + size.workers) / (size.workers + 1)
	fmt.Fprintf(w, "\n%-40s|%29s |%23s |%12s (min) |%13s (min)\n", "", "decide, ms", "imbalance, max/mean", "moves, join", "moves, leave")
	fmt.Fprintf(w, "%-40s|%9s %9s %9s |%7s %7s %7s |%18s |%19s\n",
		"", "scratch", "join", "leave", "scratch", "join", "leave", "", "")
	for _, o := range all {
		fmt.Fprintf(w, "%-40s|%9.2f %9.2f %9.2f |%7.3f %7.3f %7.3f |%11d %6s |%12d %6s\n", o.name,
			milliseconds(o.full), milliseconds(o.join), milliseconds(o.leave),
			o.before.imbalance(weights, size.workers), o.joined.imbalance(weights, size.workers+1), o.left.imbalance(weights, size.workers-1),
			moves(o.before, o.joined), fmt.Sprintf("(%d)", share),
			moves(o.before, o.left), fmt.Sprintf("(%d)", o.before.of(o.leaver)))
	}
	fmt.Fprintf(w, `
decide: mailpush reads the stored plan and writes the change; hashing has no memory and places all shards anew.
min, join: ceil(S/(W+1)), an even share by number; heavier shards than most make a fair share with fewer.
min, leave: the shards of the worker that is lost. Nothing else moves, so the imbalance after it is bound by
1 + the heaviest of them over the mean. Jump hash numbers its workers: the last takes the lost one's number.

`)
	ours, plain := all[0], all[1]
	fmt.Fprintf(w, "result: decide_full_ms=%.2f\n", milliseconds(ours.full))
	fmt.Fprintf(w, "result: decide_join_ms=%.2f\n", milliseconds(ours.join))
	fmt.Fprintf(w, "result: decide_leave_ms=%.2f\n", milliseconds(ours.leave))
	fmt.Fprintf(w, "result: imbalance=%.4f\n", ours.before.imbalance(weights, size.workers))
	fmt.Fprintf(w, "result: ring_imbalance=%.4f\n", plain.before.imbalance(weights, size.workers))
	fmt.Fprintf(w, "result: moves_join=%d\n", moves(ours.before, ours.joined))
	fmt.Fprintf(w, "result: moves_join_min=%d\n", share)
	fmt.Fprintf(w, "result: moves_leave=%d\n", moves(ours.before, ours.left))
	fmt.Fprintf(w, "result: moves_leave_min=%d\n", ours.before.of(ours.leaver))
}
