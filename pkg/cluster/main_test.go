// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"mailpush.internal/pkg/cluster"
	"mailpush.internal/pkg/cluster/embedded"
	clusterv1 "mailpush.internal/proto/gen/mailpush/cluster/v1"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
)

// endpoints is the etcd all tests share, each under a prefix of its own.
var endpoints []string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "cluster")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	server, err := embedded.Start(context.Background(), embedded.Config{Dir: dir})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	endpoints = server.Endpoints()
	code := m.Run()
	server.Close()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// patience bounds each wait for something that is expected to happen.
const patience = time.Minute

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// fresh is the configuration of a cluster of this test's own.
func fresh(t *testing.T) cluster.Config {
	t.Helper()
	return cluster.Config{
		Endpoints: endpoints,
		Prefix:    "/" + strings.ReplaceAll(t.Name(), "/", "-"),
		Shards:    8,
		LeaseTTL:  2 * time.Second,
	}
}

func open(t *testing.T, config cluster.Config) *cluster.Client {
	t.Helper()
	client, err := cluster.Open(t.Context(), config, discard())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func join(t *testing.T, client *cluster.Client) *cluster.Member {
	t.Helper()
	member, err := client.Join(t.Context(), &clusterv1.Worker{Address: "127.0.0.1:1", Backends: []string{"imapidle"}, Capacity: 100})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = member.Leave(context.WithoutCancel(t.Context())) })
	return member
}

func campaign(t *testing.T, client *cluster.Client, name string) *cluster.Term {
	t.Helper()
	term, err := client.Campaign(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = term.Resign(context.WithoutCancel(t.Context())) })
	return term
}

func snapshot(t *testing.T, client *cluster.Client) *cluster.Snapshot {
	t.Helper()
	out, err := client.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func entry(t *testing.T, client *cluster.Client, id string) cluster.Entry {
	t.Helper()
	for _, entry := range snapshot(t, client).Entries {
		if entry.ID == id {
			return entry
		}
	}
	return cluster.Entry{}
}

// raw is a client that writes what ours never would.
func raw(t *testing.T) *clientv3.Client {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: endpoints, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// receive waits for the next value.
func receive[T any](t *testing.T, ch <-chan T, what string) T {
	t.Helper()
	select {
	case v, open := <-ch:
		if !open {
			t.Fatalf("the channel of %s is closed", what)
		}
		return v
	case <-time.After(patience):
		t.Fatalf("no %s", what)
	}
	panic("not reached")
}

// ended waits until a channel is closed.
func ended(t *testing.T, ch <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-ch:
	case <-time.After(patience):
		t.Fatalf("no end of %s", what)
	}
}

func granted(generation uint64, shards ...uint32) *clusterv1.Want {
	set := &mailv1.ShardSet{Backend: "imapidle", Shards: shards}
	for range shards {
		set.Epochs = append(set.Epochs, generation)
	}
	return &clusterv1.Want{Generation: generation, Granted: []*mailv1.ShardSet{set}}
}
