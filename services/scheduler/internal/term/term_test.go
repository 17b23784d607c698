// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package term

import (
	"fmt"
	"slices"
	"testing"
	"time"

	clusterv1 "mailpush.internal/proto/gen/mailpush/cluster/v1"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
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
	waits(input(4, 0), 0, Unchanged) // nobody is there to be planned for
	step(Hint{}, Read{})
	step(input(5, 100), Ask{})
	waits(Unanswered{}, 250*time.Millisecond, "")
	step(Hint{}, Read{})
	step(input(5, 100), Ask{})
	step(Told{}, Read{})
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

// A registry that is away stops no plan but the first.
func TestOnlyTheFirstPlanWaitsForTheRegistry(t *testing.T) {
	t.Parallel()
	sets := []*mailv1.ShardSet{{Backend: "imapidle", Shards: []uint32{1}, Epochs: []uint64{7}}}
	planned := &clusterv1.Want{Generation: 1, Granted: sets}
	for name, test := range map[string]struct {
		change func(entry *assign.Entry)
		asks   bool
	}{
		"a plan":                      {func(e *assign.Entry) { e.Want = planned }, false},
		"a report":                    {func(e *assign.Entry) { e.Have = &clusterv1.Have{Generation: 1, Held: sets} }, false},
		"a plan that cannot be read":  {func(e *assign.Entry) { e.Unread.Want = true }, false},
		"a report that was not read":  {func(e *assign.Entry) { e.Unread.Have = true }, false},
		"a plan for one that is gone": {func(e *assign.Entry) { e.Worker, e.Want = nil, planned }, false},
		"an empty plan":               {func(e *assign.Entry) { e.Want = &clusterv1.Want{Generation: 1} }, true},
		"a leaver's empty report":     {func(e *assign.Entry) { e.Worker, e.Have = nil, &clusterv1.Have{} }, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var m Machine
			in := input(5, 2)
			test.change(&in.Input.Entries[1])
			if effect := m.Step(in, time.Unix(0, 0)); (effect == Effect(Ask{})) != test.asks {
				t.Errorf("the registry is asked: %v", !test.asks)
			}
		})
	}
}

// Forty of a hundred die at one moment. Their leases end one by one, by when each was
// renewed last, and each pass hands on the shards of those it sees and forgets them.
func TestMassLossIsSeenOverSeveralPasses(t *testing.T) {
	t.Parallel()
	const workers, dead, ttl = 100, 40, 5 * time.Second
	var m Machine
	now, in := time.Unix(0, 0), input(5, workers).Input
	in.LeaseTTL = ttl
	// pass makes a whole pass, and tells whether it sounded the alarm.
	pass := func() bool {
		t.Helper()
		effect := m.Step(Hint{}, now)
		for {
			switch now := now; last := effect.(type) {
			case Ask:
				effect = m.Step(Told{}, now)
			case Read:
				in.Revision++
				effect = m.Step(Cluster{read(in)}, now)
			case Apply:
				land(&in, last.Update)
				effect = m.Step(Applied{}, now)
			case Wait:
				if last.Result != Changed && last.Result != Unchanged {
					return false // changes of membership are collected
				}
				return slices.Contains(last.Plan.Alarms, assign.MassLoss)
			default:
				t.Fatalf("%T", effect)
			}
		}
	}
	if pass() {
		t.Fatal("an alarm before anybody was lost")
	}
	gone, alarm := 0, false
	for at := time.Duration(0); at < ttl/4+2*debounce; at += 50 * time.Millisecond {
		now = now.Add(50 * time.Millisecond)
		for ; gone < dead && at > ttl/4*time.Duration(gone)/dead; gone++ {
			in.Entries[slices.IndexFunc(in.Entries, func(e assign.Entry) bool { return e.Worker != nil })].Worker = nil
		}
		alarm = pass() || alarm
	}
	if gone != dead || !alarm {
		t.Errorf("%d are gone, alarm: %v", gone, alarm)
	}
	now = now.Add(2 * ttl)
	if pass() {
		t.Error("the alarm has no end")
	}
}

// read copies what a leader reads: steps write to the entries.
func read(in assign.Input) assign.Input {
	in.Entries = slices.Clone(in.Entries)
	return in
}

// land makes a change to the plan.
func land(in *assign.Input, update assign.Update) {
	for i, entry := range in.Entries {
		if want := update.Put[entry.ID]; want != nil {
			in.Entries[i].Want = want
		}
	}
	in.Entries = slices.DeleteFunc(in.Entries, func(e assign.Entry) bool { return slices.Contains(update.Remove, e.ID) })
}
