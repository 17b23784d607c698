// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"context"
	"errors"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"mailpush.internal/pkg/cluster"
	clusterv1 "mailpush.internal/proto/gen/mailpush/cluster/v1"
)

func leader(t *testing.T, client *cluster.Client) string {
	t.Helper()
	name, err := client.Leader(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return name
}

func TestOneLeadsAndTheNextFollows(t *testing.T) {
	t.Parallel()
	config := fresh(t)
	client := open(t, config)
	if got := leader(t, client); got != "" {
		t.Errorf("before any campaign %q leads", got)
	}
	first := campaign(t, client, "first")
	won := make(chan *cluster.Term, 1)
	candidates := raw(t).Watch(t.Context(), config.Prefix+"/leader/", clientv3.WithPrefix())
	go func() {
		defer close(won)
		if second, err := client.Campaign(t.Context(), "second"); err == nil {
			won <- second
		}
	}()
	receive(t, candidates, "second candidate")
	// A candidate that does not wait has won after two more questions.
	for range 20 {
		if got := leader(t, client); got != "first" {
			t.Errorf("%q leads, want first", got)
		}
	}
	select {
	case <-won:
		t.Fatal("two lead at once")
	default:
	}
	if err := first.Resign(t.Context()); err != nil {
		t.Fatal(err)
	}
	second := receive(t, won, "second term")
	t.Cleanup(func() { _ = second.Resign(context.WithoutCancel(t.Context())) })
	if got := leader(t, client); got != "second" {
		t.Errorf("%q leads, want second", got)
	}
	ended(t, first.Done(), "the first term")
}

func TestCancelledCandidateLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	config := fresh(t)
	client := open(t, config)
	campaign(t, client, "first")
	ctx, cancel := context.WithCancel(t.Context())
	waiting := raw(t).Watch(t.Context(), config.Prefix+"/leader/", clientv3.WithPrefix())
	failed := make(chan error, 1)
	go func() {
		_, err := client.Campaign(ctx, "second")
		failed <- err
	}()
	receive(t, waiting, "second candidate")
	cancel()
	if err := receive(t, failed, "end of the campaign"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the cancellation", err)
	}
	response, err := raw(t).Get(t.Context(), config.Prefix+"/leader/", clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	if len(response.Kvs) != 1 {
		t.Errorf("%d candidates are left, want the leader only", len(response.Kvs))
	}
}

func TestDeposedLeaderWritesNothing(t *testing.T) {
	t.Parallel()
	config := fresh(t)
	client := open(t, config)
	member := join(t, client)
	old := campaign(t, client, "old")
	read := snapshot(t, client)
	// Somebody takes the leader's key away behind its back, as an expired lease does.
	if _, err := raw(t).Delete(t.Context(), config.Prefix+"/leader/", clientv3.WithPrefix()); err != nil {
		t.Fatal(err)
	}
	campaign(t, client, "new")
	update := cluster.Update{Put: map[string]*clusterv1.Want{member.ID(): granted(1, 1)}}
	for name, snapshot := range map[string]*cluster.Snapshot{"its own": read, "a new": snapshot(t, client)} {
		if err := old.Apply(t.Context(), snapshot, update); !errors.Is(err, cluster.ErrDeposed) {
			t.Errorf("on %s snapshot: %v, want ErrDeposed", name, err)
		}
	}
	if entry(t, client, member.ID()).Want != nil {
		t.Error("a deposed leader's plan landed")
	}
}
