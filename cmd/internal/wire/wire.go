// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package wire turns settings into running services: it binds their addresses,
// reads their secrets and calls their New. Invariant: it holds no behaviour of a
// service; one process with all services and one with a single service are wired
// by the same functions.
package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"

	"mailpush.internal/cmd/internal/settings"
	"mailpush.internal/pkg/cluster"
	"mailpush.internal/pkg/rpc"
	"mailpush.internal/pkg/service"
)

// Service is what all services have in common.
type Service interface {
	// Run does the service's work until ctx ends and returns when all is put away.
	Run(ctx context.Context) error
	// Ready tells what keeps the service from doing its work.
	Ready(ctx context.Context) error
}

// Built is a service that is ready to run.
type Built struct {
	Service Service
	Ops     net.Listener // health and metrics
	RPC     []string     // the RPC services it serves, for health and reflection

	// Reload judges settings that were read again, and returns what has the service take
	// them, which cannot fail. Nil where it takes none while it runs.
	Reload func(s *settings.Settings) (take func(), err error)

	// Kept are the sockets that stay open for a process that follows in this one's place;
	// see [Restart].
	Kept []*os.File

	sockets []io.Closer
}

// Close lets go of the addresses of a service that will not be run.
func (b Built) Close() error {
	errs := []error{CloseAll(b.Kept)}
	for _, l := range b.sockets {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}

// Builder builds one service from the settings, binding its addresses by way of
// addresses. Each service has one, in a package of its own, so that a program links
// only the services it runs.
type Builder func(ctx context.Context, s *settings.Settings, rt service.Runtime, addresses *Addresses) (Built, error)

// Build builds a service. Addresses the caller has bound already are taken over. Its log
// lines that are about a call say which.
func Build(ctx context.Context, build Builder, s *settings.Settings, rt service.Runtime, bound ...net.Listener) (Built, error) {
	addresses := &Addresses{bound: bound}
	rt.Log = slog.New(rpc.LogRequestIDs(rt.Log.Handler()))
	built, err := build(ctx, s, rt, addresses)
	built.sockets, built.Kept = addresses.open, addresses.Kept()
	if err != nil {
		return Built{}, errors.Join(err, built.Close())
	}
	return built, nil
}

// ClusterConfig is how the settings reach etcd.
func ClusterConfig(s *settings.Settings) (cluster.Config, error) {
	password, err := settings.Secret(s.Cluster.Etcd.Password, s.Cluster.Etcd.PasswordFile)
	if err != nil {
		return cluster.Config{}, fmt.Errorf("cluster.etcd.passwordFile: %w", err)
	}
	tlsConfig, err := s.Cluster.Etcd.EtcdTLS()
	if err != nil {
		return cluster.Config{}, err
	}
	return cluster.Config{
		Endpoints: s.Cluster.Etcd.Endpoints,
		Prefix:    s.Cluster.Etcd.Prefix,
		Username:  s.Cluster.Etcd.Username,
		Password:  password,
		TLS:       tlsConfig,
		Name:      s.Cluster.Name,
		Shards:    s.Cluster.Shards,
		LeaseTTL:  s.Cluster.LeaseTTL,
	}, nil
}
