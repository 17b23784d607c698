// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package worker is the listener-worker service: one small state machine per mailbox,
// and one per place its mail is pushed to. It runs the shards the scheduler grants it.
// Invariant: whatever it does for a shard, it does under the epoch of its grant.
package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"mailpush.internal/pkg/cluster"
	"mailpush.internal/pkg/fault"
	"mailpush.internal/pkg/rpc"
	"mailpush.internal/pkg/secret"
	"mailpush.internal/pkg/service"
	"mailpush.internal/services/listener-worker/internal/heap"
	"mailpush.internal/services/listener-worker/internal/hints"
	"mailpush.internal/services/listener-worker/internal/imap"
	"mailpush.internal/services/listener-worker/internal/owner"
	"mailpush.internal/services/listener-worker/internal/webhook"
)

// Config sets up a worker.
type Config struct {
	// Listener is where WorkerService is served, over mutual TLS.
	Listener net.Listener
	// Advertise is the host:port others reach it at; empty means Listener's own.
	Advertise string
	// Cluster is the etcd the worker is a member of.
	Cluster cluster.Config
	// RegistryAddrs and VaultAddrs are where admin-api and credential-vault listen.
	RegistryAddrs, VaultAddrs []string
	// Backends are the backends the worker is capable of; empty means imapidle.
	Backends []string
	// DoveadmKeys are the API keys of mail stores' doveadm, by the stores' names.
	DoveadmKeys map[string]secret.String
	// Capacity is how many listeners the worker is built to carry, at least 1.
	Capacity uint32
	// Zone is the failure zone the worker runs in; may be empty.
	Zone string
	// ReleaseTLSBuffers has idle connections to mail stores give back their TLS buffers.
	ReleaseTLSBuffers bool
	// Instance names the installation in event ids, which change with it; empty means
	// the id of the cluster.
	Instance string
	// AllowHTTPWebhooks also pushes to endpoints without TLS.
	AllowHTTPWebhooks bool
	// AllowPrivateWebhooks are addresses endpoints may have although they are not public.
	AllowPrivateWebhooks []netip.Prefix
	// WebhookPorts are those of endpoints at other addresses.
	WebhookPorts []uint16
	// RequireWebhookEcho asks for a ping's challenge in the body of the answer.
	RequireWebhookEcho bool
	// WebhookRules are what holds for endpoints of some origins.
	WebhookRules []WebhookRule
	// Alone tells that the process is this worker and nothing else: then it also chooses
	// when the process's garbage is collected.
	Alone bool
	// Registered is told of each registration in the cluster as soon as it is made: the
	// worker's id and the lease it hangs on. May be nil.
	Registered func(worker string, lease int64)
	// Notify and MailNotify are where mail stores tell of new mail.
	Notify     Notify
	MailNotify MailNotify
}

// Service is a worker.
type Service struct {
	cfg       Config
	live      live
	notifyTLS *service.TLS
	rt        service.Runtime
	clocks    *rpc.Clocks
	ready     chan *owner.Owner // holds the owner once there is one
}

// New checks the configuration and makes a worker that does nothing until Run.
func New(cfg Config, rt service.Runtime) (*Service, error) {
	switch {
	case len(cfg.RegistryAddrs) == 0:
		return nil, fault.Field("registry", "no address is configured")
	case len(cfg.VaultAddrs) == 0:
		return nil, fault.Field("vault", "no address is configured")
	case cfg.Capacity == 0:
		return nil, fault.Field("capacity", "must be at least 1")
	}
	if len(cfg.Backends) == 0 {
		cfg.Backends = []string{imap.Name}
	}
	for _, backend := range cfg.Backends {
		if backends()[backend] == nil {
			return nil, fault.Field("backends", "%q is not known; this version has %s",
				backend, strings.Join(slices.Sorted(maps.Keys(backends())), ", "))
		}
	}
	if err := cfg.checkNotify(); err != nil {
		return nil, err
	}
	rules, err := webhook.NewRules(ruleFiles(cfg.WebhookRules))
	if err != nil {
		return nil, err
	}
	clocks, err := rpc.NewClocks(prometheus.GaugeOpts{
		Namespace: "mailpush", Subsystem: "worker", Name: "clock_difference_seconds",
		Help: "By how much the clock of another service is ahead of this one's, in whole seconds.",
	}, rt.Log, rt.Metrics)
	if err != nil {
		return nil, fmt.Errorf("making the worker: %w", err)
	}
	cfg.Advertise = cmp.Or(cfg.Advertise, cfg.Listener.Addr().String())
	s := &Service{cfg: cfg, notifyTLS: service.NewTLS(cfg.Notify.TLS), rt: rt, clocks: clocks, ready: make(chan *owner.Owner, 1)}
	s.live.cfg.Store(&cfg)
	s.live.webhooks.limit(limitsOf(cfg), rules)
	return s, nil
}

// Ready tells whether the worker is a member of the cluster.
func (s *Service) Ready(ctx context.Context) error {
	select {
	case o := <-s.ready:
		s.ready <- o
		return o.Ready(ctx)
	default:
		return fault.New(fault.Unavailable, "the cluster was not joined yet; the log says why")
	}
}

// Run serves until ctx ends. Then requests in flight may end, cursors are stored and
// the cluster is left, within about 10 s.
func (s *Service) Run(ctx context.Context) error {
	// Mail stores are answered from the first moment to the last: each waits with a mail.
	hub := hints.New(hints.Config{Log: s.rt.Log, Metrics: s.rt.Metrics})
	answering, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	return service.Group(ctx,
		func(context.Context) error { return s.bring(answering, hub) },
		func(ctx context.Context) error {
			defer end()
			return s.work(ctx, hub)
		},
	)
}

// work listens and delivers until ctx ends.
func (s *Service) work(ctx context.Context, hub *hints.Hub) error {
	etcd, err := cluster.Await(ctx, s.cfg.Cluster, s.rt.Log)
	if etcd == nil {
		return errors.Join(err, s.cfg.Listener.Close())
	}
	defer func() { _ = etcd.Close() }() // it holds nothing that could be lost
	w := s.assemble(etcd, hub)
	defer w.close()
	s.ready <- w.owner

	// Listeners and delivery end after the owner, which still needs them to end well.
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	return service.Group(ctx,
		s.keepHeap,
		func(context.Context) error { return w.listeners.Run(life) },
		func(context.Context) error { return w.delivery.Run(life) },
		func(context.Context) error { return s.follow(life, etcd, hub) },
		func(ctx context.Context) error {
			defer end()
			return w.owner.Run(ctx)
		},
		func(ctx context.Context) error {
			return service.Serve(ctx, s.rt.Log, "worker rpc", s.cfg.Listener, s.rt.Identity.ServerTLS(), s.handler(w))
		},
	)
}

// keepHeap has the heap kept small while little happens, in a process that is only this.
func (s *Service) keepHeap(ctx context.Context) error {
	if !s.cfg.Alone {
		return nil
	}
	return heap.New(s.rt.Log, s.rt.Metrics).Run(ctx)
}
