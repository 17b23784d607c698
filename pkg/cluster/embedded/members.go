// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package embedded

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
)

// Cluster is several servers of one etcd cluster in this process, for tests.
type Cluster struct {
	// Members are the servers; closing one is a crash the others survive as long as
	// a majority is left.
	Members []*Server
}

// StartCluster starts n servers on loopback, with their data below dir, and returns
// when all answer.
func StartCluster(ctx context.Context, dir string, n int, log *slog.Logger) (*Cluster, error) {
	places, err := Places(n)
	if err != nil {
		return nil, fmt.Errorf("starting an etcd cluster: %w", err)
	}
	servers, errs := make([]*Server, n), make([]error, n)
	var wait sync.WaitGroup
	// None is ready before a majority runs: they start side by side.
	for i, place := range places {
		wait.Go(func() {
			servers[i], errs[i] = Start(ctx, Config{
				Dir:          filepath.Join(dir, place.Name),
				ClientListen: "http://127.0.0.1:0",
				Log:          log,
				Place:        &place,
			})
		})
	}
	wait.Wait()
	cluster := &Cluster{}
	for i := range servers {
		if errs[i] == nil {
			cluster.Members = append(cluster.Members, servers[i])
		}
	}
	for _, err := range errs {
		if err != nil {
			cluster.Close()
			return nil, err
		}
	}
	return cluster, nil
}

// Endpoints returns the endpoints of all members.
func (c *Cluster) Endpoints() []string {
	var out []string
	for _, server := range c.Members {
		out = append(out, server.Endpoints()...)
	}
	return out
}

// Close stops all members.
func (c *Cluster) Close() {
	var wait sync.WaitGroup
	for _, server := range c.Members {
		wait.Go(server.Close)
	}
	wait.Wait()
}

// Places finds a free port for each of n members. The members must know each other's ports
// before any runs, so the ports are let go of just before the start.
func Places(n int) ([]Place, error) {
	out := make([]Place, n)
	peers := make([]string, n)
	for i := range out {
		//nolint:noctx // a listener on loopback does not block
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("reserving a port: %w", err)
		}
		//nolint:gocritic,revive // all are held until the last is known
		defer func() { _ = l.Close() }()
		out[i].Name = fmt.Sprintf("member-%d", i+1)
		out[i].PeerURL = "http://" + l.Addr().String()
		peers[i] = out[i].Name + "=" + out[i].PeerURL
	}
	for i := range out {
		out[i].Members = strings.Join(peers, ",")
	}
	return out, nil
}
