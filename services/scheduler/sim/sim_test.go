// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"mailpush.internal/pkg/hold"
	clusterv1 "mailpush.internal/proto/gen/mailpush/cluster/v1"
	"mailpush.internal/services/scheduler/internal/assign"
)

func TestProtocolHoldsInEverySchedule(t *testing.T) {
	t.Parallel()
	n := 2000
	if testing.Short() {
		n = 300
	}
	var out strings.Builder
	if s := (series{seed: rand.Uint64(), schedules: n}); !s.run(&out) {
		t.Error(out.String())
	}
}

func TestScheduleFollowsFromItsSeed(t *testing.T) {
	t.Parallel()
	run := func(seed uint64) string {
		digest := fnv.New64a()
		runSchedule(seed, sound, func(now time.Duration, what string) { fmt.Fprintln(digest, now, what) })
		return fmt.Sprint(digest.Sum64())
	}
	seen := make(map[string]bool)
	for seed := range uint64(30) {
		first := run(seed)
		if second := run(seed); first != second {
			t.Errorf("seed %d ran in two ways", seed)
		}
		if seen[first] {
			t.Errorf("seed %d ran like another one", seed)
		}
		seen[first] = true
	}
}

// Each rule is switched off once: the checks must notice.
func TestChecksNoticeWhenARuleIsMissing(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		mutation mutation
		seen     func(outcome) bool
	}{
		"a shard is granted before its release is acknowledged": {believeEverybody, overlapped},
		"a worker's right never ends":                           {noFence, overlapped},
		"a worker's right lasts from the acknowledgement on":    {fenceFromReceipt, overlapped},
		"a worker's right lasts as long as the lease":           {wholeLease, overlapped},
		"a leaver says goodbye before all has ended":            {farewellEarly, overlapped},
		"a supervisor takes who stands still for dead":          {revokeStopped, overlapped},
		"a deposed leader's change lands":                       {ignoreLeader, failed},
		"a hold begins before its epoch is open":                {beginUnopened, failed},
		"the first plan does not wait for the registry":         {planUntold, failed},
		"the registry takes any epoch":                          {acceptLower, accepted},
		"the registry does not keep the epochs":                 {forgetOpened, accepted},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			within(t, test.mutation, test.seen)
		})
	}
}

func failed(o outcome) bool     { return o.violation != "" }
func overlapped(o outcome) bool { return failed(o) && o.overlaps > 0 }
func accepted(o outcome) bool   { return failed(o) && o.stale > 0 }

// within runs schedules until one has shown something.
func within(t *testing.T, mutation mutation, seen func(outcome) bool) {
	t.Helper()
	const most = 5000
	for n := range most {
		if seen(runSchedule(seedOf(1, n), mutation, nil)) {
			return
		}
	}
	t.Errorf("%d schedules ran, and nothing was noticed", most)
}

// Some clusters must be too large for one transaction, or the rest says nothing of those.
func TestSomePlansTakeSeveralTransactions(t *testing.T) {
	t.Parallel()
	within(t, sound, func(o outcome) bool { return o.long > 0 })
}

// What supervisors are for must happen: leases are revoked before their time, and what
// their workers had sent comes after the shards have passed on, and is refused.
func TestLateCommitsOfDeadWorkersAreFenced(t *testing.T) {
	t.Parallel()
	within(t, sound, func(o outcome) bool { return o.revoked > 0 && o.fenced > 0 })
}

// The schedule this protocol was first got wrong by: a shard is granted to A by
// generation 5 and revoked by 6 before A has applied 5. A's have still says 4. If the
// revocation counts for applied, because A does not run the shard, C is granted it; A
// wakes up, replays 5, and two run it.
func TestGrantThatWasNeverAppliedIsNotForgotten(t *testing.T) {
	t.Parallel()
	now := time.Unix(0, 0)
	shard := hold.Claim{Backend: backend, Shard: 0, Epoch: 50}
	worker := func(id string, draining bool) *clusterv1.Worker {
		return &clusterv1.Worker{Id: id, Backends: []string{backend}, Capacity: 100, Draining: draining}
	}
	a := hold.New(rand.New(rand.NewPCG(1, 1)))
	five := &clusterv1.Want{Generation: 5, Granted: hold.Sets([]hold.Claim{shard})}
	six := &clusterv1.Want{Generation: 6, Revoked: []*clusterv1.Revocation{
		{Generation: 6, Shards: hold.Sets([]hold.Claim{shard})[0]},
	}}
	entries := []assign.Entry{
		{ID: "a", Worker: worker("a", true), Want: six, Have: &clusterv1.Have{Generation: 4}},
		{ID: "c", Worker: worker("c", false)},
	}
	grants := func() (epoch uint64) {
		for _, update := range assign.Step(assign.Input{Revision: 60, Shards: 1, Entries: entries}).Updates {
			for _, set := range update.Put["c"].GetGranted() {
				epoch = max(epoch, slices.Max(set.GetEpochs()))
			}
		}
		return epoch
	}
	if grants() != 0 {
		t.Fatal("granted to C before A has acknowledged")
	}
	// A wakes up and replays what its watch has kept.
	effects := a.Step(hold.Wanted{Want: five}, now)
	effects = append(effects, a.Step(hold.Wanted{Want: six}, now)...)
	if grants() != 0 {
		t.Fatal("granted to C before A has acknowledged")
	}
	var have *clusterv1.Have
	for len(effects) > 0 {
		effect := effects[0]
		effects = effects[1:]
		switch effect := effect.(type) {
		case hold.Read:
			effects = append(effects, a.Step(hold.Loaded{Read: effect}, now)...)
		case hold.Report:
			have = effect.Have
		case hold.Began, hold.Run:
			t.Errorf("A has begun what was revoked: %v", effect)
		}
	}
	if have.GetGeneration() != 6 || len(have.GetHeld()) != 0 {
		t.Fatalf("A reports %v", have)
	}
	entries[0].Have = have
	if epoch := grants(); epoch <= shard.Epoch {
		t.Errorf("C is granted the shard under epoch %d, A had %d", epoch, shard.Epoch)
	}
	if effects := a.Step(hold.Wanted{Want: five}, now); len(effects) != 0 {
		t.Errorf("A replays an old want: %v", effects)
	}
}
