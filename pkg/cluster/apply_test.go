// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"mailpush.internal/pkg/cluster"
	clusterv1 "mailpush.internal/proto/gen/mailpush/cluster/v1"
)

func put(id string, generation uint64) cluster.Update {
	return cluster.Update{Put: map[string]*clusterv1.Want{id: granted(generation, 1)}}
}

func TestChangesOfOneSnapshotFollowEachOther(t *testing.T) {
	t.Parallel()
	client := open(t, fresh(t))
	member, term := join(t, client), campaign(t, client, "leader")
	read := snapshot(t, client)
	before := read.Revision
	for generation := uint64(1); generation < 4; generation++ {
		if err := term.Apply(t.Context(), read, put(member.ID(), generation)); err != nil {
			t.Fatal(err)
		}
	}
	want := granted(3, 1)
	want.Format = 1
	if diff := cmp.Diff(want, entry(t, client, member.ID()).Want, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	// Other tests write to the same etcd.
	if now := snapshot(t, client); now.Revision < read.Revision || read.Revision < before+3 {
		t.Errorf("the snapshot went from %d to %d, the cluster is at %d", before, read.Revision, now.Revision)
	}
}

// A change given up as lost may still be on its way when the plan is read again.
// Whichever lands first, the other must not: they may name different workers.
func TestOfTwoChangesToOnePlanOneLands(t *testing.T) {
	t.Parallel()
	client := open(t, fresh(t))
	one, other, term := join(t, client), join(t, client), campaign(t, client, "leader")
	first, second := snapshot(t, client), snapshot(t, client)
	if err := term.Apply(t.Context(), first, put(one.ID(), 1)); err != nil {
		t.Fatal(err)
	}
	if err := term.Apply(t.Context(), second, put(other.ID(), 1)); !errors.Is(err, cluster.ErrConflict) {
		t.Errorf("got %v, want ErrConflict", err)
	}
	if entry(t, client, other.ID()).Want != nil {
		t.Error("both landed")
	}
}

func TestApplyComparesWhatItWasToldTo(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		move   func(t *testing.T, member *cluster.Member)
		update func(id string) cluster.Update
	}{
		"alive, and it left":       {leave, func(id string) cluster.Update { return cluster.Update{Alive: []string{id}} }},
		"alive, and it never was":  {nil, func(string) cluster.Update { return cluster.Update{Alive: []string{"stranger"}} }},
		"gone, and it is here":     {nil, func(id string) cluster.Update { return cluster.Update{Gone: []string{id}} }},
		"removed, and it is here":  {nil, func(id string) cluster.Update { return cluster.Update{Remove: []string{id}} }},
		"removed, and rewritten":   {reportAndLeave, func(id string) cluster.Update { return cluster.Update{Remove: []string{id}} }},
		"unmoved, and it reported": {report, func(id string) cluster.Update { return cluster.Update{Unmoved: []string{id}} }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := open(t, fresh(t))
			member, term := join(t, client), campaign(t, client, "leader")
			read := snapshot(t, client)
			if c.move != nil {
				c.move(t, member)
			}
			if err := term.Apply(t.Context(), read, c.update(member.ID())); !errors.Is(err, cluster.ErrConflict) {
				t.Errorf("got %v, want ErrConflict", err)
			}
		})
	}
}

func leave(t *testing.T, member *cluster.Member) {
	t.Helper()
	if err := member.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// reportAndLeave is a farewell.
func reportAndLeave(t *testing.T, member *cluster.Member) {
	t.Helper()
	report(t, member)
	leave(t, member)
}

func report(t *testing.T, member *cluster.Member) {
	t.Helper()
	if err := member.Report(t.Context(), &clusterv1.Have{Generation: 1}); err != nil {
		t.Fatal(err)
	}
}

func TestRemoveCleansUpAfterAGoneWorker(t *testing.T) {
	t.Parallel()
	client := open(t, fresh(t))
	member, term := join(t, client), campaign(t, client, "leader")
	if err := term.Apply(t.Context(), snapshot(t, client), put(member.ID(), 1)); err != nil {
		t.Fatal(err)
	}
	report(t, member)
	leave(t, member)
	read := snapshot(t, client)
	if err := term.Apply(t.Context(), read, cluster.Update{Remove: []string{member.ID()}}); err != nil {
		t.Fatal(err)
	}
	if left := snapshot(t, client).Entries; len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestTooLargeAChangeIsRefused(t *testing.T) {
	t.Parallel()
	client := open(t, fresh(t))
	term := campaign(t, client, "leader")
	update := cluster.Update{}
	for i := range cluster.MaxOps {
		update.Gone = append(update.Gone, fmt.Sprint(i))
	}
	if err := term.Apply(t.Context(), snapshot(t, client), update); err == nil || errors.Is(err, cluster.ErrConflict) {
		t.Errorf("got %v, want a refusal", err)
	}
}
