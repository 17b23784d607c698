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
	"net"

	"mailpush.internal/cmd/internal/settings"
	"mailpush.internal/pkg/cluster"
	"mailpush.internal/pkg/identity"
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

	listeners []net.Listener
}

// Close lets go of the addresses of a service that will not be run.
func (b Built) Close() error {
	errs := make([]error, 0, len(b.listeners))
	for _, l := range b.listeners {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}

// Build builds the named service and binds its addresses, but for those that the
// caller has bound already.
func Build(ctx context.Context, name string, s *settings.Settings, rt service.Runtime, bound ...net.Listener) (Built, error) {
	builders := map[string]func(context.Context, *settings.Settings, service.Runtime, *listeners) (Built, error){
		identity.Admin:     admin,
		identity.Vault:     vault,
		identity.Worker:    worker,
		identity.Scheduler: scheduler,
	}
	build, known := builders[name]
	if !known {
		return Built{}, fmt.Errorf("there is no service %q", name)
	}
	addresses := &listeners{bound: bound}
	built, err := build(ctx, s, rt, addresses)
	built.listeners = addresses.open
	if err != nil {
		return Built{}, errors.Join(err, built.Close())
	}
	return built, nil
}

// listeners remembers what is open, to be let go when a later step fails.
type listeners struct {
	bound []net.Listener // by the caller
	open  []net.Listener // in use by the service
}

func (l *listeners) bind(ctx context.Context, key, address string) (net.Listener, error) {
	for _, listener := range l.bound {
		if listener.Addr().String() == address {
			l.open = append(l.open, listener)
			return listener, nil
		}
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listening as %s says: %w", key, err)
	}
	l.open = append(l.open, listener)
	return listener, nil
}

func clusterConfig(s *settings.Settings) (cluster.Config, error) {
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
		Shards:    s.Cluster.Shards,
		LeaseTTL:  s.Cluster.LeaseTTL,
	}, nil
}
