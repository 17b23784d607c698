// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"mailpush.internal/pkg/cluster"
	clusterv1 "mailpush.internal/proto/gen/mailpush/cluster/v1"

	"mailpush.internal/pkg/hold"
)

func TestJoinRegistersUnderAFreshIDUntilLeave(t *testing.T) {
	t.Parallel()
	client := open(t, fresh(t))
	first, second := join(t, client), join(t, client)
	if first.ID() == second.ID() {
		t.Fatalf("both registrations are called %s", first.ID())
	}
	got := entry(t, client, first.ID()).Worker
	want := &clusterv1.Worker{Format: 1, Id: first.ID(), Address: "127.0.0.1:1", Backends: []string{"imapidle"}, Capacity: 100}
	if diff := cmp.Diff(want, got, protocmp.Transform(), protocmp.IgnoreFields(want, "started_at")); diff != "" {
		t.Error(diff)
	}
	if first.Right() != hold.Current {
		t.Error("a fresh registration is not held")
	}
	if err := first.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	if entry(t, client, first.ID()).Worker != nil {
		t.Error("the worker's key outlives its leaving")
	}
	if entry(t, client, second.ID()).Worker == nil {
		t.Error("the other worker's key went with it")
	}
	ended(t, first.Lost(), "the right of the one who left")
	if first.Right() == hold.Current {
		t.Error("the one who left still holds")
	}
}

func TestReportsAndPlanOutliveTheWorker(t *testing.T) {
	t.Parallel()
	client := open(t, fresh(t))
	member := join(t, client)
	have := &clusterv1.Have{Generation: 3, Held: granted(3, 1, 2).GetGranted()}
	for range 2 {
		if err := member.Report(t.Context(), have); err != nil {
			t.Fatal(err)
		}
	}
	if err := member.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	have.Format = 1
	if diff := cmp.Diff(have, entry(t, client, member.ID()).Have, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	if err := member.Report(t.Context(), have); !errors.Is(err, cluster.ErrLost) {
		t.Errorf("a report after leaving: %v, want ErrLost", err)
	}
}

func TestReportFollowsOneOfUnknownOutcome(t *testing.T) {
	t.Parallel()
	config := fresh(t)
	client := open(t, config)
	member := join(t, client)
	// What a report whose answer was lost leaves behind.
	value, err := proto.Marshal(&clusterv1.Have{Format: 1, Generation: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := raw(t).Put(t.Context(), config.Prefix+"/have/"+member.ID(), string(value)); err != nil {
		t.Fatal(err)
	}
	if err := member.Report(t.Context(), &clusterv1.Have{Generation: 2}); err != nil {
		t.Fatal(err)
	}
	if got := entry(t, client, member.ID()).Have.GetGeneration(); got != 2 {
		t.Errorf("the report shows generation %d, want 2", got)
	}
}

func TestReportOfARegistrationTakenAway(t *testing.T) {
	t.Parallel()
	config := fresh(t)
	member := join(t, open(t, config))
	if _, err := raw(t).Delete(t.Context(), config.Prefix+"/worker/"+member.ID()); err != nil {
		t.Fatal(err)
	}
	if err := member.Report(t.Context(), &clusterv1.Have{}); !errors.Is(err, cluster.ErrLost) {
		t.Errorf("got %v, want ErrLost", err)
	}
	ended(t, member.Lost(), "the right of one whose key is gone")
}

// The leader takes a worker whose key is gone for gone.
func TestDeletedRegistrationIsOverAtOnce(t *testing.T) {
	t.Parallel()
	config := fresh(t)
	member := join(t, open(t, config))
	if _, err := raw(t).Delete(t.Context(), config.Prefix+"/worker/"+member.ID()); err != nil {
		t.Fatal(err)
	}
	ended(t, member.Lost(), "the right of one whose key is gone")
}

func TestOverwrittenRegistrationIsStoredAgain(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]string{"garbage": "\xff", "a later format": "\x08\x02", "another's": "\x08\x01\x12\x01b"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := fresh(t)
			client := open(t, config)
			member, etcd := join(t, client), raw(t)
			if err := member.Drain(t.Context(), true); err != nil {
				t.Fatal(err)
			}
			key := config.Prefix + "/worker/" + member.ID()
			before := entry(t, client, member.ID()).Worker
			// Without its lease, too.
			written, err := etcd.Put(t.Context(), key, value)
			if err != nil {
				t.Fatal(err)
			}
			receive(t, etcd.Watch(t.Context(), key, clientv3.WithRev(written.Header.GetRevision()+1)), "mended key")
			if got := entry(t, client, member.ID()); !proto.Equal(got.Worker, before) {
				t.Errorf("%v was mended to %+v", before, got)
			}
			if err := member.Leave(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := entry(t, client, member.ID()); got.Worker != nil {
				t.Error("the mended key outlives its lease")
			}
		})
	}
}

// Somebody has restored a backup of our keys, say: without its lease the registration
// would outlive us, and with it our shards would be nobody's.
func TestRegistrationWithoutItsLeaseGetsItBack(t *testing.T) {
	t.Parallel()
	config := fresh(t)
	client := open(t, config)
	member, etcd := join(t, client), raw(t)
	key := config.Prefix + "/worker/" + member.ID()
	before, err := etcd.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	written, err := etcd.Put(t.Context(), key, string(before.Kvs[0].Value))
	if err != nil {
		t.Fatal(err)
	}
	mended := receive(t, etcd.Watch(t.Context(), key, clientv3.WithRev(written.Header.GetRevision()+1)), "mended key")
	if kv := mended.Events[0].Kv; kv.Lease != before.Kvs[0].Lease || string(kv.Value) != string(before.Kvs[0].Value) {
		t.Errorf("it was mended to %v", kv)
	}
}

func TestDrainKeepsTheLease(t *testing.T) {
	t.Parallel()
	config := fresh(t)
	client := open(t, config)
	member := join(t, client)
	for _, draining := range []bool{true, false} {
		if err := member.Drain(t.Context(), draining); err != nil {
			t.Fatal(err)
		}
		if got := entry(t, client, member.ID()).Worker.GetDraining(); got != draining {
			t.Errorf("draining is %v, want %v", got, draining)
		}
	}
	if err := member.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	if entry(t, client, member.ID()).Worker != nil {
		t.Error("a worker that had drained outlives its lease")
	}
	if err := member.Drain(t.Context(), true); !errors.Is(err, cluster.ErrLost) {
		t.Errorf("draining after leaving: %v, want ErrLost", err)
	}
}

func TestWantsStartWithTheCurrentAndFollow(t *testing.T) {
	t.Parallel()
	client := open(t, fresh(t))
	member, term := join(t, client), campaign(t, client, "leader")
	plan := func(generation uint64) {
		t.Helper()
		err := term.Apply(t.Context(), snapshot(t, client), cluster.Update{
			Put: map[string]*clusterv1.Want{member.ID(): granted(generation, 1)},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	plan(1)
	ctx, cancel := context.WithCancel(t.Context())
	wants := member.Wants(ctx)
	for generation := uint64(1); generation < 4; generation++ {
		if got := receive(t, wants, "want").GetGeneration(); got != generation {
			t.Errorf("got generation %d, want %d", got, generation)
		}
		plan(generation + 1)
	}
	cancel()
	for range wants {
	}
}

func TestBrokenPlanIsNoOrder(t *testing.T) {
	t.Parallel()
	config := fresh(t)
	client := open(t, config)
	member, etcd := join(t, client), raw(t)
	wants := member.Wants(t.Context())
	good, err := proto.Marshal(&clusterv1.Want{Format: 1, Generation: 7})
	if err != nil {
		t.Fatal(err)
	}
	future, err := proto.Marshal(&clusterv1.Want{Format: 2, Generation: 6})
	if err != nil {
		t.Fatal(err)
	}
	for _, value := range []string{"\xff", string(future), string(good)} {
		if _, err := etcd.Put(t.Context(), config.Prefix+"/want/"+member.ID(), value); err != nil {
			t.Fatal(err)
		}
	}
	if got := receive(t, wants, "want").GetGeneration(); got != 7 {
		t.Errorf("got generation %d, want the one that can be read", got)
	}
}
