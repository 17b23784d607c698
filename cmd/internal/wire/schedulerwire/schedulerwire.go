// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package schedulerwire builds the scheduler from the settings.
package schedulerwire

import (
	"context"
	"fmt"
	"os"

	"mailpush.internal/cmd/internal/online"
	"mailpush.internal/cmd/internal/settings"
	"mailpush.internal/cmd/internal/wire"
	"mailpush.internal/pkg/identity"
	"mailpush.internal/pkg/service"
	"mailpush.internal/proto/gen/mailpush/scheduler/v1/schedulerv1connect"
	scheduler "mailpush.internal/services/scheduler"
)

// Probes are what the scheduler needs to reach.
func Probes(s *settings.Settings) []online.Probe {
	return append(online.Etcd(s), online.Peers(s, identity.Scheduler, identity.Admin)...)
}

// Build implements [wire.Builder] for scheduler.
func Build(ctx context.Context, s *settings.Settings, rt service.Runtime, addresses *wire.Addresses) (wire.Built, error) {
	built := wire.Built{RPC: []string{schedulerv1connect.SchedulerServiceName}}
	etcd, err := wire.ClusterConfig(s)
	if err != nil {
		return built, err
	}
	config := scheduler.Config{Name: s.Scheduler.Name, Cluster: etcd, RegistryAddrs: s.AdminAddresses()}
	if config.Name == "" {
		host, err := os.Hostname()
		if err != nil {
			return built, fmt.Errorf("naming this replica (set scheduler.name): %w", err)
		}
		config.Name = fmt.Sprintf("%s-%d", host, os.Getpid())
	}
	if config.Listener, err = addresses.Bind(ctx, "scheduler.listen", s.Scheduler.Listen); err != nil {
		return built, err
	}
	if built.Ops, err = addresses.Bind(ctx, "scheduler.opsListen", s.Scheduler.OpsListen); err != nil {
		return built, err
	}
	built.Service, err = scheduler.New(config, rt)
	return built, err
}
