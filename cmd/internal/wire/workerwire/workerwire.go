// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package workerwire builds the listener-worker from the settings.
package workerwire

import (
	"context"
	"slices"
	"strings"

	"mailpush.internal/cmd/internal/online"
	"mailpush.internal/cmd/internal/settings"
	"mailpush.internal/cmd/internal/wire"
	"mailpush.internal/pkg/identity"
	"mailpush.internal/pkg/service"
	"mailpush.internal/proto/gen/mailpush/worker/v1/workerv1connect"
	worker "mailpush.internal/services/listener-worker"
)

// Probes are what the listener-worker needs to reach.
func Probes(s *settings.Settings) []online.Probe {
	peers := online.Peers(s, identity.Worker, identity.Admin, identity.Vault)
	return slices.Concat(online.Etcd(s), peers, online.MailStores(s))
}

// BuildAlone is [Build] for a process that is nothing but a worker.
func BuildAlone(ctx context.Context, s *settings.Settings, rt service.Runtime, addresses *wire.Addresses) (wire.Built, error) {
	return build(ctx, s, rt, addresses, true)
}

// Build implements [wire.Builder] for listener-worker.
func Build(ctx context.Context, s *settings.Settings, rt service.Runtime, addresses *wire.Addresses) (wire.Built, error) {
	return build(ctx, s, rt, addresses, false)
}

func build(ctx context.Context, s *settings.Settings, rt service.Runtime, addresses *wire.Addresses, alone bool) (wire.Built, error) {
	built := wire.Built{RPC: []string{workerv1connect.WorkerServiceName}}
	carries := s.Carries()
	config, err := workerConfig(s, alone)
	if err != nil {
		return built, err
	}
	if alone {
		if config.Registered, err = tellParent(ctx, rt.Log); err != nil {
			return built, err
		}
	}
	if config.Listener, err = addresses.Bind(ctx, "worker.listen", s.Worker.Listen); err != nil {
		return built, err
	}
	if built.Ops, err = addresses.Bind(ctx, "worker.opsListen", s.Worker.OpsListen); err != nil {
		return built, err
	}
	if err := bindNotify(ctx, s.Worker, addresses, &config); err != nil {
		return built, err
	}
	if strings.HasSuffix(config.Advertise, ":0") { // any free port: the one that was found
		config.Advertise = config.Listener.Addr().String()
	}
	rt.Log.InfoContext(ctx, "capacity", "listeners", carries.Listeners, "why", carries.Why)
	if carries.Warning != "" {
		rt.Log.WarnContext(ctx, "the worker cannot carry its capacity", "reason", carries.Warning)
	}
	made, err := worker.New(config, rt)
	if err != nil {
		return built, err
	}
	built.Service = made
	built.Reload = func(s *settings.Settings) (func(), error) {
		config, err := workerConfig(s, alone)
		if err != nil {
			return nil, err
		}
		return made.Reconfigure(config)
	}
	return built, nil
}

// workerConfig is all but the addresses.
func workerConfig(s *settings.Settings, alone bool) (worker.Config, error) {
	etcd, err := wire.ClusterConfig(s)
	if err != nil {
		return worker.Config{}, err
	}
	keys, err := s.DoveadmKeys()
	if err != nil {
		return worker.Config{}, err
	}
	config := worker.Config{
		DoveadmKeys:          keys,
		Advertise:            s.WorkerAdvertise(),
		Cluster:              etcd,
		RegistryAddrs:        s.AdminAddresses(),
		VaultAddrs:           s.VaultAddresses(),
		Backends:             s.Worker.Backends,
		Capacity:             s.Carries().Listeners,
		Zone:                 s.Worker.Zone,
		ReleaseTLSBuffers:    s.Worker.ReleaseTLSBuffers,
		Instance:             s.Cluster.Name,
		AllowHTTPWebhooks:    s.Push.Webhook.AllowHTTP,
		AllowPrivateWebhooks: s.Push.Webhook.AllowPrivate,
		WebhookPorts:         s.Push.Webhook.AllowPorts,
		RequireWebhookEcho:   s.Push.Webhook.RequireEcho,
		WebhookRules:         webhookRules(s),
		Alone:                alone,
	}
	if config.Notify, err = notify(s.Worker.Notify); err != nil {
		return worker.Config{}, err
	}
	config.MailNotify, err = mailNotify(s.Worker.MailNotify)
	return config, err
}
