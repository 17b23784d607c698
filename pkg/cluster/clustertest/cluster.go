// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package clustertest

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"

	"mailpush.internal/pkg/cluster/embedded"
)

// Cluster is several servers of one etcd cluster in this process.
type Cluster struct {
	// Members are the servers; closing one is a crash the others survive as long as
	// a majority is left.
	Members []*embedded.Server
}

// Start starts n servers on loopback, with their data below dir, and returns
// when all answer.
func Start(ctx context.Context, dir string, n int, log *slog.Logger) (*Cluster, error) {
	places, err := embedded.Places(n)
	if err != nil {
		return nil, fmt.Errorf("starting an etcd cluster: %w", err)
	}
	servers, errs := make([]*embedded.Server, n), make([]error, n)
	var wait sync.WaitGroup
	// None is ready before a majority runs: they start side by side.
	for i, place := range places {
		wait.Go(func() {
			servers[i], errs[i] = embedded.Start(ctx, embedded.Config{
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
