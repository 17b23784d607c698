// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package adminapi is the public edge of mailpush and its registry: it
// authenticates, validates, stores who is subscribed, and answers applications,
// operators, workers and the scheduler.
//
// It keeps these invariants: credentials travel in clear text on loopback only; a
// subscription is answered when everything a listener needs is stored; SQL is
// private to this service.
package adminapi

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"mailpush.internal/pkg/cluster"
	"mailpush.internal/pkg/fault"
	pkgrpc "mailpush.internal/pkg/rpc"
	"mailpush.internal/pkg/secret"
	"mailpush.internal/pkg/service"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/admin-api/internal/auth"
	"mailpush.internal/services/admin-api/internal/edge"
	"mailpush.internal/services/admin-api/internal/peers"
	"mailpush.internal/services/admin-api/internal/rpc"
	"mailpush.internal/services/admin-api/internal/store"
)

// Config is what the service works with. Listeners are taken over by Run.
type Config struct {
	// Public serves applications, operators and browsers. PublicTLS may be nil on a
	// loopback address only.
	Public    net.Listener
	PublicTLS *tls.Config
	// Internal serves workers and the scheduler over mutual TLS.
	Internal net.Listener
	// Database is the registry's DSN.
	Database                   secret.String
	VaultAddrs, SchedulerAddrs []string
	Cluster                    cluster.Config

	AllowPermanentPush   bool     // push.allowPermanentPush
	AllowedClients       []string // push.allowedClients; empty allows all
	CredStorage          bool     // push.credstorage.enabled
	PasswordSourceGlobal bool     // mail.passwordSource is global
	// PermanentBackends says of each backend there is whether it may run permanent
	// listeners: <backend>.supportsPermanentListeners.
	PermanentBackends map[string]bool
	// Stores name each the backend that notices its new mail.
	Stores []*mailv1.MailStore
	// MasterLogins is mail.stores.*.masterLogin by mail store: what the master user, or
	// doveadm, opens for a user, with {user} and {context} for the ids. All that keeps
	// tenants apart where no password of the user's own is asked for.
	MasterLogins map[string]string

	Admins            []Admin
	Applications      []Application
	AllowedOrigins    []string // origins of browsers that may call; `*` for any
	AllowHTTPWebhooks bool
}

// Admin is an administrator: a name and the Argon2id hash of a password.
type Admin = auth.Admin

// Application is a caller of PushService: a token's hash and the contexts it covers.
type Application = auth.Application

// HashPassword makes the PasswordHash of an Admin.
func HashPassword(password secret.String) string { return auth.HashPassword(password) }

// HashToken makes the TokenHash of an Application.
func HashToken(token secret.String) string { return auth.HashToken(token) }

// CheckPasswordHash says whether a text can be the PasswordHash of an Admin.
func CheckPasswordHash(phc string) error {
	_, err := auth.ParsePasswordHash(phc)
	return err
}

// CheckTokenHash says whether a text can be the TokenHash of an Application.
func CheckTokenHash(text string) error {
	_, err := auth.ParseTokenHash(text)
	return err
}

// Service is one replica of admin-api.
type Service struct {
	config  Config
	rt      service.Runtime
	rules   atomic.Pointer[rules]
	changed chan struct{} // holds one when the rules are others than those served
	tls     *service.TLS
	metrics *rpc.Metrics
	store   atomic.Pointer[store.Store] // nil until Run has opened it
}

// New checks the configuration. It connects to nothing: Run does.
func New(c Config, rt service.Runtime) (*Service, error) {
	s := &Service{config: c, rt: rt, changed: make(chan struct{}, 1), tls: service.NewTLS(c.PublicTLS)}
	first, err := newRules(c, nil)
	if err != nil {
		return nil, err
	}
	s.rules.Store(first)
	if s.metrics, err = rpc.NewMetrics(rt.Metrics); err != nil {
		return nil, fmt.Errorf("admin-api: registering metrics: %w", err)
	}
	return s, nil
}

// Reconfigure judges a configuration that was read again, and returns what has it taken:
// who may have a permanent listener, mail stores, callers, origins, certificate. Listeners,
// database, cluster and the addresses of others stay what New was told. Calls that have
// begun end under the configuration that they began under.
func (s *Service) Reconfigure(c Config) (take func(), err error) {
	c.Public = s.config.Public
	next, err := newRules(c, s.rules.Load())
	if err != nil {
		return nil, err
	}
	return func() {
		s.tls.Replace(c.PublicTLS)
		s.rules.Store(next)
		select {
		case s.changed <- struct{}{}:
		default: // it has yet to see the last one
		}
	}, nil
}

func loopback(a net.Addr) bool {
	switch a := a.(type) {
	case *net.TCPAddr:
		return a.IP.IsLoopback()
	case *net.UnixAddr:
		return true
	default:
		return false
	}
}

// Ready says whether the service can do its work: the registry is open and answers.
// Vault and scheduler are asked when they are needed; without them listings of the
// registry still work.
func (s *Service) Ready(ctx context.Context) error {
	registry := s.store.Load()
	if registry == nil {
		return fault.New(fault.Unavailable, "the registry is not open or the cluster not joined yet; the log says why")
	}
	return registry.Ping(ctx)
}

// Run opens the registry, joins the cluster and serves until ctx ends. What is away, the
// database or etcd, it waits for: calls are answered Unavailable meanwhile.
func (s *Service) Run(ctx context.Context) error {
	public := pkgrpc.NewLater("the registry is not open or the cluster not joined yet")
	internal := pkgrpc.NewLater("the registry is not open yet")
	var opened closers
	err := service.Group(ctx,
		func(ctx context.Context) error {
			return service.Serve(ctx, s.rt.Log, "public", s.config.Public, s.tls.Config(), public)
		},
		func(ctx context.Context) error {
			return service.Serve(ctx, s.rt.Log, "registry", s.config.Internal, s.rt.Identity.ServerTLS(), internal)
		},
		func(ctx context.Context) error { return s.work(ctx, &opened, public, internal) })
	return errors.Join(err, opened.close()) // not before the last call has ended
}

// closers close what was opened, the last first.
type closers []func() error

func (c *closers) add(closer func() error) { *c = append(*c, closer) }

func (c *closers) close() error {
	var errs []error
	for _, closer := range slices.Backward(*c) {
		errs = append(errs, closer())
	}
	return errors.Join(errs...)
}

// work opens what calls need, puts their handlers in place and does what no call asks for,
// until ctx ends.
func (s *Service) work(ctx context.Context, opened *closers, public, internal *pkgrpc.Later) error {
	registry, installation, err := s.open(ctx)
	if registry == nil {
		return err // or stopped before it began
	}
	opened.add(registry.Close)
	members, err := cluster.Await(ctx, s.config.Cluster, s.rt.Log)
	if err != nil {
		return fmt.Errorf("admin-api: %w", err)
	}
	if members == nil {
		return nil
	}
	opened.add(members.Close)
	now := s.rules.Load()
	former, err := s.place(ctx, registry, now)
	if err != nil {
		return err
	}
	on := s.serving(registry, installation, members, opened)
	on.begin(now)
	internal.Set(&on.internal)
	return service.Group(ctx,
		func(ctx context.Context) error { return on.follow(ctx, now, former) },
		func(ctx context.Context) error {
			// Workers and schedulers must hear whose this registry is, in a foreign cluster,
			// too. Nobody else is to rely on it there.
			if err := members.AwaitBelonging(ctx, installation); err != nil {
				return err
			}
			public.Set(&on.public)
			s.store.Store(registry)
			return nil
		})
}

// serving joins what decides with whom it asks.
func (s *Service) serving(registry *store.Store, installation string, members *cluster.Client, opened *closers) *serving {
	calls := pkgrpc.NewCalls(s.rt.Metrics)
	vault := peers.NewVault(s.rt.Identity, s.config.VaultAddrs, calls)
	scheduler := peers.NewScheduler(s.rt.Identity, s.config.SchedulerAddrs, calls)
	workers := peers.NewWorkers(s.rt.Identity)
	opened.add(func() error {
		vault.Close()
		scheduler.Close()
		workers.Close()
		return nil
	})
	shards := members.Settings().GetShards()
	return &serving{
		Service: s, registry: registry, shards: shards, installation: installation,
		edge: edge.New(edge.Config{
			Shards: shards, Store: registry, Vault: vault, Cluster: members, Scheduler: scheduler, Workers: workers,
			Log: s.rt.Log, Count: s.metrics.Gone,
		}),
	}
}

// waiting is what the log says while the database is away at the start.
const waiting = "admin-api waits for its database"

// open opens the registry and learns which installation it is of.
func (s *Service) open(ctx context.Context) (registry *store.Store, installation string, err error) {
	err = service.Await(ctx, s.rt.Log, waiting, func(ctx context.Context) error {
		opened, err := store.Open(ctx, s.config.Database, s.rt.Log)
		if err != nil {
			return err
		}
		if installation, err = opened.Installation(ctx); err != nil {
			return errors.Join(err, opened.Close())
		}
		registry = opened
		return nil
	})
	if err != nil {
		return nil, "", fmt.Errorf("admin-api: %w", err)
	}
	return registry, installation, nil
}

// place notes the backends of the mail stores, and returns which had another one.
func (s *Service) place(ctx context.Context, registry *store.Store, r *rules) (former map[string]string, err error) {
	err = service.Await(ctx, s.rt.Log, waiting, func(ctx context.Context) (err error) {
		former, err = registry.Place(ctx, r.Policy.Stores, time.Now())
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("admin-api: %w", err)
	}
	return former, nil
}
