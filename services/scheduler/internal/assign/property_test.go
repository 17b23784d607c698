// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package assign_test

import (
	"maps"
	"slices"
	"testing"

	"mailpush.internal/pkg/shard"

	"pgregory.net/rapid"

	"mailpush.internal/services/scheduler/internal/assign"
)

// Whatever happens in whatever order, and whatever is broken in the store, no two workers that may act run one shard, no
// epoch comes twice, and when it is quiet again, everything is run by somebody.
func TestNoTwoWorkersRunOneShard(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := newStore()
		var reads []*fakeSnapshot // of leaders that have not written yet
		worker := func(t *rapid.T) *fakeWorker {
			var acting []*fakeWorker
			for _, w := range s.workers {
				if w.acting {
					acting = append(acting, w)
				}
			}
			if len(acting) == 0 {
				t.Skip("nobody is there") //nolint:forbidigo // this action only
			}
			return rapid.SampledFrom(acting).Draw(t, "worker")
		}
		t.Repeat(map[string]func(*rapid.T){
			"join": func(t *rapid.T) {
				if len(s.workers) == 8 {
					t.Skip("enough") //nolint:forbidigo // this action only
				}
				backends := rapid.SampledFrom([][]string{{"imapidle"}, {"imapidle", "dovecot"}, {"dovecot"}}).Draw(t, "backends")
				s.join(rapid.SampledFrom([]uint32{1, 3, 20, 60}).Draw(t, "capacity"), backends...)
			},
			"crash":  func(t *rapid.T) { s.crash(worker(t)) },
			"drain":  func(t *rapid.T) { s.drain(worker(t)) },
			"read":   func(t *rapid.T) { s.read(worker(t)) },
			"apply":  func(t *rapid.T) { worker(t).apply() },
			"report": func(t *rapid.T) { s.report(worker(t)) },
			"spoil": func(t *rapid.T) {
				if len(s.entries) == 0 {
					t.Skip("nothing is stored") //nolint:forbidigo // this action only
				}
				s.spoil(rapid.SampledFrom(slices.Sorted(maps.Keys(s.entries))).Draw(t, "id"), assign.Unread{
					Worker: rapid.Bool().Draw(t, "worker"), Want: rapid.Bool().Draw(t, "want"), Have: rapid.Bool().Draw(t, "have"),
				})
			},
			"mend": func(t *rapid.T) {
				for _, id := range slices.Sorted(maps.Keys(s.broken)) {
					if rapid.Bool().Draw(t, id) {
						s.mend(id)
					}
				}
			},
			"pass":     func(*rapid.T) { s.pass() },
			"snapshot": func(*rapid.T) { reads = append(reads, s.snapshot()) },
			"late pass": func(t *rapid.T) {
				if len(reads) == 0 {
					t.Skip("nobody has read") //nolint:forbidigo // this action only
				}
				i := rapid.IntRange(0, len(reads)-1).Draw(t, "read")
				for _, update := range assign.Step(reads[i].input).Updates {
					if !s.land(reads[i], update) {
						break
					}
				}
				reads = slices.Delete(reads, i, i+1)
			},
			"loads": func(t *rapid.T) {
				at := shard.ID{Backend: "imapidle", Number: rapid.Uint32Range(0, shards-1).Draw(t, "shard")}
				listeners := maps.Clone(s.loads.Listeners)
				if listeners == nil {
					listeners = make(map[shard.ID]uint32)
				}
				listeners[at] = rapid.Uint32Range(0, 9).Draw(t, "listeners")
				s.loads.Listeners = listeners
			},
			"": func(t *rapid.T) { checkSafe(t, s) },
		})
		checkQuiet(t, s)
	})
}

func checkSafe(t *rapid.T, s *fakeStore) {
	if s.wronged != "" {
		t.Fatal("a leader ", s.wronged)
	}
	for at, owners := range s.owners() {
		if len(owners) > 1 {
			t.Fatalf("%v is run by %v", at, owners)
		}
	}
	fresh := make(map[shard.ID]uint64)
	for id, entry := range s.entries {
		for at, epoch := range members(entry.Want.GetGranted()) {
			if entry.Worker == nil {
				continue
			}
			if other, granted := fresh[at]; granted {
				t.Fatalf("%v is granted twice, with epochs %d and %d to %s", at, other, epoch, id)
			}
			fresh[at] = epoch
		}
	}
	for at, epoch := range fresh {
		if epoch < s.epochs[at] {
			t.Fatalf("%v is granted with epoch %d after %d", at, epoch, s.epochs[at])
		}
		s.epochs[at] = epoch
	}
}

func checkQuiet(t *rapid.T, s *fakeStore) {
	clear(s.broken)
	if !s.settle() {
		t.Fatal("scheduling has no end")
	}
	checkSafe(t, s)
	loads := make(map[string]uint32)
	owners := s.owners()
	for at, ids := range owners {
		loads[ids[0]] += s.loads.Listeners[at]
	}
	for id, load := range loads {
		if most := s.entry(id).Worker.GetCapacity(); load > most {
			t.Fatalf("%s runs %d listeners and is built for %d", id, load, most)
		}
	}
	for _, backend := range []string{"imapidle", "dovecot"} {
		for number := range uint32(shards) {
			at := shard.ID{Backend: backend, Number: number}
			if len(owners[at]) == 0 && takers(s, loads, at) > 0 {
				t.Fatalf("%v is run by nobody, and somebody has room", at)
			}
		}
	}
	for id, entry := range s.entries {
		for at := range members(entry.Want.GetGranted()) {
			if entry.Worker.GetDraining() && takers(s, loads, at) > 0 {
				t.Fatalf("%s drains, keeps %v, and could be relieved", id, at)
			}
		}
	}
}

// takers counts the workers that could take one more shard.
func takers(s *fakeStore, loads map[string]uint32, at shard.ID) int {
	count := 0
	for id, entry := range s.entries {
		worker := entry.Worker
		if slices.Contains(worker.GetBackends(), at.Backend) && !worker.GetDraining() &&
			loads[id]+s.loads.Listeners[at] <= worker.GetCapacity() {
			count++
		}
	}
	return count
}
