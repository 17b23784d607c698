// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package scheduler is the scheduler service: replicas elect a leader, and the leader
// makes the plan of who listens to what match the live, capable workers.
//
// Invariant: without any scheduler everything that runs keeps running; only changes
// of membership wait.
package scheduler

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"mailpush.internal/pkg/cluster"
	"mailpush.internal/pkg/fault"
	"mailpush.internal/pkg/identity"
	"mailpush.internal/pkg/rpc"
	"mailpush.internal/pkg/service"
	"mailpush.internal/proto/gen/mailpush/scheduler/v1/schedulerv1connect"
	"mailpush.internal/services/scheduler/internal/assign"
	"mailpush.internal/services/scheduler/internal/leader"
	"mailpush.internal/services/scheduler/internal/registry"
	handler "mailpush.internal/services/scheduler/internal/rpc"
)

// doubtEvery is how often a scheduler looks whose the cluster is.
const doubtEvery = time.Second

// Config is what a scheduler needs to know. All fields are needed.
type Config struct {
	// Listener is where SchedulerService is served, with mutual TLS. New takes it over.
	Listener net.Listener
	// Name is how the others see this replica when it leads.
	Name string
	// Cluster is the etcd to meet in.
	Cluster cluster.Config
	// RegistryAddrs are the addresses of admin-api's RegistryService.
	RegistryAddrs []string
}

// Service is one replica of the scheduler.
type Service struct {
	config  Config
	rt      service.Runtime
	loads   *registry.Loads
	metrics *leader.Metrics
	// client is nil until etcd was reached.
	client atomic.Pointer[cluster.Client]
}

// New checks the configuration; it connects to nothing.
func New(config Config, rt service.Runtime) (*Service, error) {
	switch {
	case config.Listener == nil:
		return nil, fault.Field("listener", "the scheduler needs one")
	case config.Name == "":
		return nil, fault.Field("name", "the scheduler needs one")
	case len(config.RegistryAddrs) == 0:
		return nil, fault.Field("registryAddrs", "the scheduler needs the address of admin-api")
	}
	metrics, err := leader.NewMetrics(rt.Metrics)
	if err != nil {
		return nil, fmt.Errorf("making the scheduler: %w", err)
	}
	clocks, err := rpc.NewClocks(prometheus.GaugeOpts{
		Namespace: "mailpush", Subsystem: "scheduler", Name: "clock_difference_seconds",
		Help: "By how much the clock of another service is ahead of this one's, in whole seconds.",
	}, rt.Log, rt.Metrics)
	if err != nil {
		return nil, fmt.Errorf("making the scheduler: %w", err)
	}
	toRegistry := clocks.Watch(identity.Admin, rpc.Client(rt.Identity, identity.Admin, config.RegistryAddrs))
	loads, err := registry.New(rpc.NewCalls(rt.Metrics).Count(toRegistry, identity.Admin), rt.Log, rt.Metrics)
	if err != nil {
		return nil, fmt.Errorf("making the scheduler: %w", err)
	}
	return &Service{config: config, rt: rt, loads: loads, metrics: metrics}, nil
}

// Run serves, campaigns and, while it leads, schedules, until ctx ends. It waits for an
// etcd that cannot be reached, and for one that holds another cluster or settings that
// are not to be trusted.
func (s *Service) Run(ctx context.Context) error {
	return service.Group(ctx, s.serve, s.schedule)
}

func (s *Service) serve(ctx context.Context) error {
	options := rpc.HandlerOptions(s.rt.Log, rpc.MaxInternalBytes, identity.Allow(map[string][]string{
		schedulerv1connect.SchedulerServiceListWorkersProcedure:  {identity.Admin},
		schedulerv1connect.SchedulerServiceGetPlacementProcedure: {identity.Admin},
	}))
	mux := http.NewServeMux()
	mux.Handle(schedulerv1connect.NewSchedulerServiceHandler(handler.New(source{s}), options...))
	return service.Serve(ctx, s.rt.Log, "scheduler rpc", s.config.Listener, s.rt.Identity.ServerTLS(), identity.Middleware(mux))
}

func (s *Service) schedule(ctx context.Context) error {
	client, err := cluster.Await(ctx, s.config.Cluster, s.rt.Log)
	if client == nil {
		return err
	}
	defer func() {
		s.client.Store(nil)
		_ = client.Close() // nothing is written by closing
	}()
	s.client.Store(client)
	for ctx.Err() == nil {
		if err := client.AwaitBelonging(ctx, s.loads.Installation()); err != nil {
			return err
		}
		if err := s.take(ctx, client); fault.KindOf(err) != fault.Precondition {
			return err
		}
	}
	return nil
}

// take takes part in a cluster until ctx ends, or the cluster turns out to be another
// installation's.
func (s *Service) take(ctx context.Context, client *cluster.Client) error {
	loop := leader.New(leader.Config{
		Name:    s.config.Name,
		Cluster: client,
		Loads:   s.loads.Last,
		Ask:     s.loads.Ask,
		Log:     s.rt.Log,
		Metrics: s.metrics,
	})
	return service.Group(ctx, loop.Run,
		func(ctx context.Context) error { return s.loads.Run(ctx, client.WatchChanges(ctx)) },
		func(ctx context.Context) error { return s.doubt(ctx, client) },
	)
}

// doubt looks whether the cluster is another installation's. Whose registry it is may be
// learned late: plans but the first are made without one as well.
func (s *Service) doubt(ctx context.Context, client *cluster.Client) error {
	for {
		if err := client.Belong(ctx, s.loads.Installation()); fault.KindOf(err) == fault.Precondition {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(doubtEvery):
		}
	}
}

// Ready returns nil when etcd answers and the cluster there is not known to be another
// installation's; the loop needs nothing else.
func (s *Service) Ready(ctx context.Context) error {
	client := s.client.Load()
	if client == nil {
		return errors.New("the cluster was not joined yet; the log says why")
	}
	return client.Belong(ctx, s.loads.Installation())
}

// source implements the handler's Source.
type source struct{ service *Service }

// Snapshot implements [handler.Source].
func (s source) Snapshot(ctx context.Context) (*cluster.Snapshot, error) {
	client := s.service.client.Load()
	if client == nil {
		return nil, fault.New(fault.Unavailable, "the scheduler has not joined the cluster yet")
	}
	return client.Snapshot(ctx)
}

// Shards implements [handler.Source].
func (s source) Shards() uint32 {
	if client := s.service.client.Load(); client != nil {
		return client.Settings().GetShards()
	}
	return 0
}

// Loads implements [handler.Source].
func (s source) Loads() assign.Loads { return s.service.loads.Last() }
