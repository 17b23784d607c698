// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package cluster is the cluster protocol over etcd, and the only importer of it:
// who is alive (worker/), who leads (leader/), what each worker should run (want/)
// and does run (have/), and which shards' registrations changed (changes/).
//
// Invariants: a Member's right to act ends before its key can be gone, unless its process
// is dead ([Revoke]); a Term's writes land only while it leads, each on the plan exactly as
// it was read; a value that is not ours, or from a later format, is an error that names
// its key.
package cluster

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/protobuf/proto"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/pkg/secret"
	clusterv1 "mailpush.internal/proto/gen/mailpush/cluster/v1"
)

const (
	// DefaultPrefix is where a cluster lives when its Config names no prefix.
	DefaultPrefix = "/mailpush"
	// DefaultShards is the number of shards per backend of a new cluster.
	DefaultShards = 1024
	// DefaultLeaseTTL is the lease of a new cluster.
	DefaultLeaseTTL = 5 * time.Second
	// MinLeaseTTL is the shortest lease etcd grants at its default timeouts.
	MinLeaseTTL = 2 * time.Second

	// openTimeout bounds Open.
	openTimeout = 5 * time.Second
	// opTimeout bounds each other operation that is not a watch.
	opTimeout = 5 * time.Second
	// pingAfter and pingTimeout find an endpoint that is gone without a word.
	pingAfter   = 2 * time.Second
	pingTimeout = time.Second
	// redialMin and redialMax bound the pause before the next attempt to connect.
	redialMin = 100 * time.Millisecond
	redialMax = 500 * time.Millisecond
)

// Config says which etcd, and what a cluster made anew is like.
type Config struct {
	Endpoints []string
	// Prefix sets clusters on one etcd apart; empty means DefaultPrefix.
	Prefix   string
	Username string
	Password secret.String
	// TLS is nil for clear text.
	TLS *tls.Config
	// Name is what the cluster is called: one of another name under the prefix is
	// refused. Empty takes any.
	Name string
	// Shards per backend, a power of two. 0 takes what the cluster has, else DefaultShards.
	Shards uint32
	// LeaseTTL in whole seconds. 0 takes what the cluster has, else DefaultLeaseTTL.
	LeaseTTL time.Duration
}

// Client is one process's view of a cluster. It is safe for concurrent use.
type Client struct {
	config   Config
	keys     layout
	log      *slog.Logger
	etcd     *clientv3.Client
	settings *clusterv1.Config
}

// Open connects to etcd and joins the cluster under the prefix, or makes a new one
// there. It refuses a cluster with other settings than configured and an etcd that is too
// old, and returns within seconds when no endpoint answers.
func Open(ctx context.Context, config Config, log *slog.Logger) (*Client, error) {
	if err := config.check(); err != nil {
		return nil, err
	}
	c := &Client{config: config, keys: layoutOf(config), log: log}
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	etcd, err := c.dial(ctx)
	if err != nil {
		return nil, c.unreachable(err)
	}
	c.etcd = etcd
	err = c.checkVersions(ctx)
	if err == nil {
		err = c.settle(ctx)
	}
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			err = c.unreachable(c.why(etcd, err))
		}
		_ = etcd.Close()
		return nil, err
	}
	return c, nil
}

func (config Config) check() error {
	switch {
	case len(config.Endpoints) == 0:
		return fault.Field("endpoints", "no etcd endpoint is configured")
	case config.Shards&(config.Shards-1) != 0:
		return fault.Field("shards", "%d is not a power of two", config.Shards)
	case config.LeaseTTL != 0 && config.LeaseTTL < MinLeaseTTL:
		return fault.Field("leaseTTL", "%v is shorter than %v, the least etcd grants", config.LeaseTTL, MinLeaseTTL)
	case config.LeaseTTL%time.Second != 0:
		return fault.Field("leaseTTL", "%v is not in whole seconds", config.LeaseTTL)
	}
	return nil
}

// Close ends the connection. Leave and Resign first: it revokes nothing.
func (c *Client) Close() error {
	if err := c.etcd.Close(); err != nil {
		return fmt.Errorf("closing the connection to etcd: %w", err)
	}
	return nil
}

// Settings returns what all processes of the cluster agree on.
func (c *Client) Settings() *clusterv1.Config { return proto.CloneOf(c.settings) }

// leaseTTL is the cluster's lease.
func (c *Client) leaseTTL() time.Duration {
	return time.Duration(c.settings.GetLeaseTtlSeconds()) * time.Second
}
