// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package scheduler_test

import (
	"maps"
	"testing"
	"time"

	"mailpush.internal/pkg/cluster"
	"mailpush.internal/pkg/cluster/clustertest"
	"mailpush.internal/pkg/cluster/embedded"
	"mailpush.internal/pkg/secret"
)

// etcd is one of the test's own, which may be broken.
func etcd(t *testing.T, config embedded.Config) (*clustertest.Raw, cluster.Config) {
	t.Helper()
	config.Dir, config.ClientListen = t.TempDir(), "http://127.0.0.1:0"
	server, err := embedded.Start(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	return dial(t, server.Endpoints()[0]), cluster.Config{Endpoints: server.Endpoints()}
}

// While etcd is full nothing moves and everything runs; the reason is logged once. When
// there is space again the plan is brought up to date by itself.
func TestFullEtcdHoldsUpChangesOnly(t *testing.T) {
	t.Parallel()
	root, config := etcd(t, embedded.Config{QuotaBytes: 4 << 20})
	b := newBenchOn(t, config)
	log := b.record()
	r := b.start(t, "one")
	stays, goes := b.join(t), b.join(t)
	goes.until(t, shards/2)
	stays.until(t, shards/2)
	before := stays.epochs()
	if err := root.Fill(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := goes.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	log.until(t, "etcd at "+config.Endpoints[0]+" takes no writes: it is full (alarm NOSPACE)")
	r.fails(t, 3)
	if !maps.Equal(stays.epochs(), before) {
		t.Error("the other worker runs something else")
	}
	if err := root.MakeSpace(t.Context()); err != nil {
		t.Fatal(err)
	}
	stays.until(t, shards)
	if n := log.count("plan could not be brought up to date"); n != 1 {
		t.Errorf("it was logged %d times", n)
	}
}

// fails waits until so many passes have failed.
func (r *replica) fails(t *testing.T, passes uint64) {
	t.Helper()
	for late := time.After(patience); ; {
		families, err := r.metrics.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, family := range families {
			for _, metric := range family.GetMetric() {
				if family.GetName() == "mailpush_scheduler_pass_duration_seconds" && metric.GetLabel()[0].GetValue() == "error" &&
					metric.GetHistogram().GetSampleCount() >= passes {
					return
				}
			}
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-late:
			t.Fatalf("%d passes have not failed", passes)
		}
	}
}

// Without its rights a scheduler can only wait, and goes on when it has them again.
func TestSchedulerOutlivesTheLossOfItsRights(t *testing.T) {
	t.Parallel()
	root, config := etcd(t, embedded.Config{CheapPasswords: true})
	if err := root.Guard(t.Context(), prefixOf(t)); err != nil {
		t.Fatal(err)
	}
	config.Username, config.Password = clustertest.User, secret.New(clustertest.Password)
	b := newBenchOn(t, config)
	log := b.record()
	b.start(t, "one")
	first := b.join(t)
	first.until(t, shards)
	if err := root.Forbid(t.Context(), prefixOf(t)); err != nil {
		t.Fatal(err)
	}
	ended(t, first.Lost())
	log.until(t, "campaign could not be run")
	if len(first.shards()) != shards {
		t.Error("the worker was told to stop")
	}
	if err := root.Permit(t.Context(), prefixOf(t)); err != nil {
		t.Fatal(err)
	}
	second := b.join(t)
	second.until(t, shards)
	for shard, epoch := range first.epochs() {
		if second.epochs()[shard] <= epoch {
			t.Errorf("shard %d passed on from epoch %d to %d", shard, epoch, second.epochs()[shard])
		}
	}
	if n := log.count("campaign could not be run"); n > 2 {
		t.Errorf("it was logged %d times:\n%s", n, log.text.String())
	}
	if log.count(clustertest.Password) > 0 {
		t.Error("the password was logged")
	}
}
