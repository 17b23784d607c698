// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package embedded_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"mailpush.internal/pkg/cluster/clustertest"
	"mailpush.internal/pkg/cluster/embedded"
)

func TestMain(m *testing.M) {
	code := m.Run()
	// etcd's HTTP server does not wait for its connections, which end later on a busy machine.
	err := goleak.Find()
	for end := time.Now().Add(30 * time.Second); err != nil && time.Now().Before(end); {
		err = goleak.Find()
	}
	if err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func dial(t *testing.T, endpoints []string) *clientv3.Client {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: endpoints, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func start(t *testing.T, config embedded.Config) *embedded.Server {
	t.Helper()
	server, err := embedded.Start(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	return server
}

func TestDataSurvivesRestart(t *testing.T) {
	t.Parallel()
	for name, listen := range map[string]string{"socket": "", "loopback": "http://127.0.0.1:0"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := embedded.Config{Dir: t.TempDir(), ClientListen: listen}
			first := start(t, config)
			if _, err := dial(t, first.Endpoints()).Put(t.Context(), "key", "kept"); err != nil {
				t.Fatal(err)
			}
			first.Close()

			second := start(t, config)
			got, err := dial(t, second.Endpoints()).Get(t.Context(), "key")
			if err != nil {
				t.Fatal(err)
			}
			if len(got.Kvs) != 1 || string(got.Kvs[0].Value) != "kept" {
				t.Errorf("after a restart: %v, want the value put before it", got.Kvs)
			}
		})
	}
}

// Peers of a server that is alone, of which there are none, and its clients would come by
// sockets that the directory guards.
func TestSocketsAreInADirectoryOfItsOwner(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new")
	server := start(t, embedded.Config{Dir: dir})
	if diff := cmp.Diff([]string{"unix://" + dir + "/etcd.sock"}, server.Endpoints()); diff != "" {
		t.Error(diff)
	}
	for _, name := range []string{"etcd.sock", "peer.sock"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Type() != os.ModeSocket {
			t.Errorf("%s: %v, %v, want a socket", name, info, err)
		}
	}
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o700 {
		t.Errorf("the directory has mode %v, want 0700", info.Mode().Perm())
	}
}

func TestStartRefuses(t *testing.T) {
	t.Parallel()
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx    context.Context
		config embedded.Config
		want   string
	}{
		"a path too long":   {t.Context(), embedded.Config{Dir: filepath.Join(t.TempDir(), strings.Repeat("long", 30))}, "too long for a socket"},
		"an address in use": {t.Context(), embedded.Config{Dir: t.TempDir(), ClientListen: "http://192.0.2.1:1"}, "assign requested address"},
		"a cancelled start": {cancelled, embedded.Config{Dir: t.TempDir()}, context.Canceled.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, err := embedded.Start(c.ctx, c.config)
			if err == nil {
				server.Close()
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}

func TestClusterOutlivesOneMember(t *testing.T) {
	t.Parallel()
	cluster, err := clustertest.Start(t.Context(), t.TempDir(), 3, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	client := dial(t, cluster.Endpoints())
	cluster.Members[0].Close()

	// An election may be on: a put is tried again until one is accepted.
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		try, stop := context.WithTimeout(ctx, time.Second)
		_, err := client.Put(try, "key", "value")
		stop()
		if err == nil {
			return
		}
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			t.Fatalf("two of three members do not accept a put: %v", err)
		}
	}
}

// lines counts what is logged.
type lines struct{ n atomic.Int32 }

func (l *lines) Write(line []byte) (int, error) {
	l.n.Add(1)
	return len(line), nil
}

func TestClosingIsQuiet(t *testing.T) {
	t.Parallel()
	said := new(lines)
	server := start(t, embedded.Config{Dir: t.TempDir(), Log: slog.New(slog.NewTextHandler(said, nil))})
	before := said.n.Load()
	server.Close()
	if after := said.n.Load(); after > before {
		t.Errorf("said %d things while closing", after-before)
	}
}
