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

// Builder builds one service from the settings, binding its addresses by way of
// addresses. Each service has one, in a package of its own, so that a program links
// only the services it runs.
type Builder func(ctx context.Context, s *settings.Settings, rt service.Runtime, addresses *Addresses) (Built, error)

// Build builds a service. Addresses the caller has bound already are taken over.
func Build(ctx context.Context, build Builder, s *settings.Settings, rt service.Runtime, bound ...net.Listener) (Built, error) {
	addresses := &Addresses{bound: bound}
	built, err := build(ctx, s, rt, addresses)
	built.listeners = addresses.open
	if err != nil {
		return Built{}, errors.Join(err, built.Close())
	}
	return built, nil
}

// Addresses binds addresses and remembers what is open, to be let go when a later
// step fails.
type Addresses struct {
	bound []net.Listener // by the caller
	open  []net.Listener // in use by the service
}

// Bind listens on address, which the setting key holds.
func (l *Addresses) Bind(ctx context.Context, key, address string) (net.Listener, error) {
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
