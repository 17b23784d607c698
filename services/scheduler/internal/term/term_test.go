// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package term

import (
	"fmt"
	"testing"
	"time"

	clusterv1 "mailpush.internal/proto/gen/mailpush/cluster/v1"
	"mailpush.internal/services/scheduler/internal/assign"
)

// input is a cluster of workers that have nothing yet.
func input(revision int64, workers int) Cluster {
	in := assign.Input{Revision: revision, Shards: 64}
	for n := range workers {
		id := fmt.Sprint("w", n)
		in.Entries = append(in.Entries, assign.Entry{ID: id, Worker: &clusterv1.Worker{Id: id, Backends: []string{"imapidle"}, Capacity: 100}})
	}
	return Cluster{in}
}

func TestTermGoesFromReadingToWaiting(t *testing.T) {
	t.Parallel()
	var m Machine
	now := time.Unix(0, 0)
	step := func(event Event, expected Effect) Effect {
		t.Helper()
		effect := m.Step(event, now)
		if fmt.Sprintf("%T", effect) != fmt.Sprintf("%T", expected) {
			t.Fatalf("%T leads to %T, want %T", event, effect, expected)
		}
		return effect
	}
	waits := func(event Event, d time.Duration, result Result) {
		t.Helper()
		if wait, _ := step(event, Wait{}).(Wait); wait.For != d || wait.Result != result {
			t.Fatalf("waits %v after %q, want %v after %q", wait.For, wait.Result, d, result)
		}
	}
	step(Hint{}, Read{})
	waits(Failed{}, time.Second, Errored)
	step(Hint{}, Read{})
	step(input(5, 100), Apply{})
	step(Applied{}, Apply{}) // more workers than one transaction has room for
	waits(Conflict{}, 20*time.Millisecond, Conflicted)
	step(Hint{}, Read{}) // whatever was left of the plan is forgotten
	step(input(6, 1), Apply{})
	waits(Failed{}, time.Second, Errored)
	step(Hint{}, Read{})
	step(input(6, 1), Apply{})
	waits(Applied{}, 0, Changed)
	step(Hint{}, Read{})
	waits(input(7, 0), 0, Unchanged)
	step(Hint{}, Read{})
	broken := input(7, 1)
	broken.Input.Entries[0].Worker, broken.Input.Entries[0].Unread.Worker = nil, true
	waits(broken, 5*time.Second, Unchanged) // nothing tells when a value is mended
	step(Hint{}, Read{})
	step(input(8, 1), Apply{})
	step(Deposed{}, Stop{})
}
