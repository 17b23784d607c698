// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestBenchEndsWithItsResults(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := bench(&out, dimensions{listeners: 10_000, workers: 10, shards: 256, runs: 1}); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, match := range regexp.MustCompile(`(?m)^result: (\w+)=[0-9.]+$`).FindAllStringSubmatch(out.String(), -1) {
		names = append(names, match[1])
	}
	want := []string{
		"decide_full_ms", "decide_join_ms", "decide_leave_ms", "imbalance", "ring_imbalance",
		"moves_join", "moves_join_min", "moves_leave", "moves_leave_min",
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Error(diff)
	}
}

func TestBenchRefusesWhatItCannotMeasure(t *testing.T) {
	t.Parallel()
	for _, size := range []dimensions{{10, 10, 100, 1}, {10, 2, 64, 1}, {0, 10, 64, 1}, {10, 10, 64, 0}} {
		if err := bench(new(bytes.Buffer), size); err == nil {
			t.Errorf("%+v: no error", size)
		}
	}
}

// Each peer must be at its best, or the comparison is worth nothing.
func TestPeersMoveNoMoreThanTheyMust(t *testing.T) {
	t.Parallel()
	const newcomer, shards = 50, 4096
	before := make([]int, newcomer)
	for i := range before {
		before[i] = i
	}
	for name, place := range map[string]hashing{"ring": ring(100), "jump": jump, "rendezvous": rendezvous} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			old, joined := place(before, shards), place(append(slices.Clone(before), newcomer), shards)
			left := place(before[:newcomer-1], shards)
			for shard, worker := range old {
				if joined[shard] != worker && joined[shard] != newcomer {
					t.Errorf("shard %d moved from %d to %d when %d joined", shard, worker, joined[shard], newcomer)
				}
				if left[shard] != worker && worker != newcomer-1 {
					t.Errorf("shard %d moved from %d to %d when the last one left", shard, worker, left[shard])
				}
			}
			if got := joined.of(newcomer); got < shards/newcomer/2 || got > 2*shards/newcomer {
				t.Errorf("the newcomer got %d of %d shards", got, shards)
			}
		})
	}
}
