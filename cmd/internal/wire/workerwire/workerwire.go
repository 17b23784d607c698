// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package workerwire builds the listener-worker from the settings.
package workerwire

import (
	"context"
	"os"
	"runtime/debug"
	"strings"

	"mailpush.internal/cmd/internal/settings"
	"mailpush.internal/cmd/internal/wire"
	"mailpush.internal/pkg/service"
	"mailpush.internal/proto/gen/mailpush/worker/v1/workerv1connect"
	worker "mailpush.internal/services/listener-worker"
)

// gcPercent is the worker's garbage collection target. A worker is mostly buffers
// that wait: half of Go's usual headroom takes a fifth off the memory of each idle
// listener (make bench), and collecting twice as often costs little where little is
// allocated.
const gcPercent = 50

// Tune sets what a process that is nothing but a worker wants of the Go runtime. The
// environment's GOGC wins.
func Tune() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}

// Build implements [wire.Builder] for listener-worker.
func Build(ctx context.Context, s *settings.Settings, rt service.Runtime, addresses *wire.Addresses) (wire.Built, error) {
	built := wire.Built{RPC: []string{workerv1connect.WorkerServiceName}}
	etcd, err := wire.ClusterConfig(s)
	if err != nil {
		return built, err
	}
	config := worker.Config{
		Advertise:            s.WorkerAdvertise(),
		Cluster:              etcd,
		RegistryAddrs:        s.AdminAddresses(),
		VaultAddrs:           s.VaultAddresses(),
		Backends:             s.Worker.Backends,
		Capacity:             s.Worker.Capacity,
		Zone:                 s.Worker.Zone,
		Instance:             s.Cluster.Name,
		AllowHTTPWebhooks:    s.Push.Webhook.AllowHTTP,
		AllowPrivateWebhooks: s.Push.Webhook.AllowPrivate,
		RequireWebhookEcho:   s.Push.Webhook.RequireEcho,
	}
	if config.Listener, err = addresses.Bind(ctx, "worker.listen", s.Worker.Listen); err != nil {
		return built, err
	}
	if built.Ops, err = addresses.Bind(ctx, "worker.opsListen", s.Worker.OpsListen); err != nil {
		return built, err
	}
	if strings.HasSuffix(config.Advertise, ":0") { // any free port: the one that was found
		config.Advertise = config.Listener.Addr().String()
	}
	built.Service, err = worker.New(config, rt)
	return built, err
}
