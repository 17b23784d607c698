// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package scheduler_test

import (
	"log/slog"
	"slices"
	"testing"
	"time"

	"connectrpc.com/connect"

	"mailpush.internal/pkg/cluster"
	"mailpush.internal/pkg/hold"
	"mailpush.internal/pkg/identity"
	clusterv1 "mailpush.internal/proto/gen/mailpush/cluster/v1"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	registryv1 "mailpush.internal/proto/gen/mailpush/registry/v1"
)

func TestFirstWorkerGetsAllShardsAndJoinersTheirShare(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.start(t, "one")
	first := b.join(t)
	first.until(t, shards)
	second := b.join(t)
	second.until(t, shards/2)
	first.until(t, shards/2)
	third := b.join(t)
	third.until(t, 10)
	if most := shards/2 + (shards+2)/3; first.taken+second.taken > most {
		t.Errorf("%d shards moved, at most %d were due", first.taken+second.taken, most)
	}
	if all := slices.Concat(first.shards(), second.shards(), third.shards()); len(all) != shards {
		t.Errorf("%d shards are run, want each of %d once", len(all), shards)
	}
}

// A new etcd beside a registry that has served another one: grants as low as the new one's
// revisions would be refused.
func TestFirstPlanWaitsForTheRegistry(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.registry.loads.Store(nil)
	log := b.record()
	b.start(t, "one")
	w := b.join(t)
	log.until(t, `level=INFO msg="first plan waits for the registry"`)
	if n := len(w.shards()); n != 0 {
		t.Errorf("%d shards were granted before the registry has answered", n)
	}
	const old = 1 << 40
	b.registry.loads.Store(&registryv1.ShardLoadsResponse{MaxEpoch: old})
	w.until(t, shards)
	for number, epoch := range w.epochs() {
		if epoch <= old {
			t.Errorf("shard %d is granted under epoch %d, the registry has %d", number, epoch, uint64(old))
		}
	}
	if n := log.count("first plan waits for the registry"); n != 1 {
		t.Errorf("it was logged %d times", n)
	}
	// Later plans do not need it.
	b.registry.loads.Store(nil)
	b.join(t).until(t, shards/2)
}

func TestNextLeaderChangesNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	replicas := map[string]*replica{"one": b.start(t, "one"), "two": b.start(t, "two")}
	workers := []*fakeWorker{b.join(t), b.join(t)}
	for _, w := range workers {
		w.until(t, shards/2)
	}
	before := []map[uint32]uint64{workers[0].epochs(), workers[1].epochs()}
	leader := b.leads(t, "")
	replicas[leader].stop()
	next := b.leads(t, leader)

	// What proves that the next one schedules is a worker that comes.
	third := b.join(t)
	third.until(t, 10)
	for i, w := range workers {
		for shard, epoch := range w.epochs() {
			if before[i][shard] != epoch {
				t.Errorf("worker %d runs shard %d with epoch %d, before the change of leaders %d", i, shard, epoch, before[i][shard])
			}
		}
	}
	listed, err := b.list(t, replicas[next], identity.Admin)
	if err != nil {
		t.Fatal(err)
	}
	if listed.GetLeader() != next || len(listed.GetWorkers()) != 3 || listed.GetShards() != shards {
		t.Errorf("listed: %v", listed)
	}
}

func TestShardsOfLeaversAndOfTheDeadAreRegranted(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(t *testing.T, w *fakeWorker, b *bench){
		"leave": func(t *testing.T, w *fakeWorker, _ *bench) {
			t.Helper()
			if err := w.Leave(t.Context()); err != nil {
				t.Fatal(err)
			}
		},
		"drain": func(t *testing.T, w *fakeWorker, _ *bench) {
			t.Helper()
			if err := w.Drain(t.Context(), true); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.start(t, "one")
			stays, goes := b.join(t), b.join(t)
			stays.until(t, shards/2)
			goes.until(t, shards/2)
			before := stays.epochs()
			end(t, goes, b)
			stays.until(t, shards)
			after := stays.epochs()
			for shard, epoch := range before {
				if after[shard] != epoch {
					t.Errorf("shard %d of the one who stays was granted anew", shard)
				}
			}
			for shard, epoch := range goes.epochs() {
				if after[shard] <= epoch {
					t.Errorf("shard %d passed on from epoch %d to %d", shard, epoch, after[shard])
				}
			}
		})
	}
}

// A worker whose connections are cut cannot say goodbye: its lease must run out.
func TestShardsOfACrashedWorkerAreRegrantedAfterItsRightHasEnded(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.start(t, "one")
	stays := b.join(t)
	stays.until(t, shards)
	proxy, doomed, config := newProxy(t), *b, b.config
	config.Endpoints = []string{proxy.addr}
	var err error
	if doomed.client, err = cluster.Open(t.Context(), config, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = doomed.client.Close() })
	crashed := doomed.join(t)
	crashed.until(t, shards/2)
	stays.until(t, shards/2)
	cut := time.Now()
	proxy.cut()
	stays.until(t, shards)
	if crashed.Right() == hold.Current {
		t.Error("the shards have passed on, and the right to act has not ended")
	}
	if took := time.Since(cut); took > 3*b.config.LeaseTTL {
		t.Errorf("the take-over took %v with a lease of %v", took, b.config.LeaseTTL)
	}
}

func TestListWorkersCountsListenersAndIsForAdminOnly(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.registry.loads.Store(&registryv1.ShardLoadsResponse{
		Loads: []*registryv1.ShardLoad{{Backend: "imapidle", Shard: 3, Listeners: 40}, {Backend: "imapidle", Shard: 4, Listeners: 2}},
	})
	r := b.start(t, "one")
	w := b.join(t)
	w.until(t, shards)
	if _, err := b.list(t, r, identity.Worker); connect.CodeOf(err) != connect.CodePermissionDenied {
		t.Errorf("a worker's call: %v, want permission_denied", err)
	}
	late := time.After(patience)
	for {
		listed, err := b.list(t, r, identity.Admin)
		if err != nil {
			t.Fatal(err)
		}
		got := listed.GetWorkers()[0]
		if got.GetListeners() == 42 && count(got.GetHeld()) == shards && got.GetId() == w.ID() && got.GetStartedAt().IsValid() {
			return
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-late:
			t.Fatalf("listed: %v", got)
		}
	}
}

func TestGetPlacementIsForAdminOnly(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.start(t, "one")
	w := b.join(t)
	w.until(t, shards)
	if _, err := b.placement(t, r, identity.Worker); connect.CodeOf(err) != connect.CodePermissionDenied {
		t.Errorf("a worker's call: %v, want permission_denied", err)
	}
	late := time.After(patience)
	for {
		got, err := b.placement(t, r, identity.Admin)
		if err != nil {
			t.Fatal(err)
		}
		if got.GetHolder() == w.ID() && got.GetGranted() == w.ID() && got.GetLeader() == "one" && got.GetCapable() {
			return
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-late:
			t.Fatalf("placed: %v", got)
		}
	}
}

func count(sets []*mailv1.ShardSet) int {
	n := 0
	for _, set := range sets {
		n += len(set.GetShards())
	}
	return n
}

func TestReadyAndWaitingForEtcd(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	away := *b
	away.config.Endpoints = []string{"127.0.0.1:1"}
	r := away.start(t, "one")
	if err := r.Ready(t.Context()); err == nil {
		t.Error("ready without etcd")
	}
	if _, err := b.list(t, r, identity.Admin); connect.CodeOf(err) != connect.CodeUnavailable {
		t.Errorf("a call without etcd: %v, want unavailable", err)
	}
	r.stop()
	here := b.start(t, "two")
	b.leads(t, "")
	if err := here.Ready(t.Context()); err != nil {
		t.Errorf("not ready while leading: %v", err)
	}
}

// A process that ends is started again, to the same end: who is in the wrong place says
// so once, and goes on by itself when it is put right.
func TestMismatchIsNamedOnceAndWaitedOut(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	etcd, key := dial(t, endpoints[0]), b.config.Prefix+"/cfg"
	good, err := etcd.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ value, says string }{
		{marshal(t, &clusterv1.Config{Format: 1, Shards: 2 * shards, LeaseTtlSeconds: 2}), "the cluster has 64 shards, 32 are configured here"},
		{marshal(t, &clusterv1.Config{Format: 2}), "the value has format 2, this program knows formats up to 1"},
		{"\xffgarbage", "the value is not mailpush's"},
	} {
		if err := etcd.Put(t.Context(), key, c.value); err != nil {
			t.Fatal(err)
		}
		log, counted := b.record(), newProxy(t)
		away := *b
		away.config.Endpoints = []string{counted.addr}
		r := away.start(t, "one")
		log.until(t, `level=ERROR msg="cluster cannot be joined yet" error="key `+key+": "+c.says)
		counted.until(t, 3)
		if err := r.Ready(t.Context()); err == nil {
			t.Errorf("ready, although %s", c.says)
		}
		if err := etcd.Put(t.Context(), key, good); err != nil {
			t.Fatal(err)
		}
		log.until(t, "msg=leading")
		if n := log.count("cluster cannot be joined yet"); n != 1 {
			t.Errorf("it was logged %d times:\n%s", n, log.text.String())
		}
		r.stop()
	}
}
