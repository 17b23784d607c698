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
	"strings"
	"sync/atomic"
	"time"

	"mailpush.internal/pkg/cluster"
	"mailpush.internal/pkg/fault"
	"mailpush.internal/pkg/rpc"
	"mailpush.internal/pkg/secret"
	"mailpush.internal/pkg/service"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/admin-api/internal/auth"
	"mailpush.internal/services/admin-api/internal/decide"
	"mailpush.internal/services/admin-api/internal/edge"
	"mailpush.internal/services/admin-api/internal/peers"
	handler "mailpush.internal/services/admin-api/internal/rpc"
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
	policy  decide.Policy
	stores  map[string]*mailv1.MailStore
	auth    *auth.Authenticator
	metrics *handler.Metrics
	store   atomic.Pointer[store.Store] // nil until Run has opened it
}

// New checks the configuration. It connects to nothing: Run does.
func New(c Config, rt service.Runtime) (*Service, error) {
	s := &Service{config: c, rt: rt, stores: make(map[string]*mailv1.MailStore, len(c.Stores))}
	if c.PublicTLS == nil && !loopback(c.Public.Addr()) {
		return nil, fmt.Errorf("admin-api: the public address %s is not loopback: it needs TLS, for callers show passwords",
			c.Public.Addr())
	}
	s.policy = decide.Policy{
		AllowPermanentPush: c.AllowPermanentPush, AllowedClients: c.AllowedClients,
		CredStorage: c.CredStorage, MasterUser: c.PasswordSourceGlobal,
		PermanentBackends: c.PermanentBackends, Stores: make(map[string]string, len(c.Stores)),
		Doveadm: make(map[string]string),
	}
	for _, m := range c.Stores {
		if _, twice := s.stores[m.GetName()]; twice || m.GetName() == "" {
			return nil, fmt.Errorf("admin-api: the name of mail store %q is empty or given twice", m.GetName())
		}
		if m.GetBackend() == "" {
			return nil, fmt.Errorf("admin-api: mail store %q names no backend", m.GetName())
		}
		if m.GetDoveadm() != nil {
			s.policy.Doveadm[m.GetName()] = c.MasterLogins[m.GetName()]
		}
		if (c.PasswordSourceGlobal || m.GetDoveadm() != nil) && !strings.Contains(c.MasterLogins[m.GetName()], "{user}") {
			return nil, fmt.Errorf("admin-api: mail store %q needs the login of a user for the master user or doveadm", m.GetName())
		}
		s.stores[m.GetName()] = m
		s.policy.Stores[m.GetName()] = m.GetBackend()
	}
	var err error
	if s.auth, err = auth.New(c.Admins, c.Applications); err != nil {
		return nil, fmt.Errorf("admin-api: %w", err)
	}
	if s.metrics, err = handler.NewMetrics(rt.Metrics); err != nil {
		return nil, fmt.Errorf("admin-api: registering metrics: %w", err)
	}
	return s, nil
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
	public := rpc.NewLater("the registry is not open or the cluster not joined yet")
	internal := rpc.NewLater("the registry is not open yet")
	var opened closers
	err := service.Group(ctx,
		func(ctx context.Context) error {
			return service.Serve(ctx, s.rt.Log, "public", s.config.Public, s.config.PublicTLS, public)
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
func (s *Service) work(ctx context.Context, opened *closers, public, internal *rpc.Later) error {
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
	former, err := s.place(ctx, registry)
	if err != nil {
		return err
	}
	e := s.edge(registry, members, opened)
	internal.Set(handler.Internal{
		Edge:   e,
		Shards: edge.Shards{Policy: s.policy, Shards: e.Shards, Epochs: registry, Mailboxes: registry},
		Stores: s.stores, Metrics: s.metrics, Log: s.rt.Log, Installation: installation,
	}.Handler())
	return service.Group(ctx, e.Run,
		func(ctx context.Context) error {
			e.Move(ctx, former)
			return nil
		},
		func(ctx context.Context) error {
			// Workers and schedulers must hear whose this registry is, in a foreign cluster,
			// too. Nobody else is to rely on it there.
			if err := members.AwaitBelonging(ctx, installation); err != nil {
				return err
			}
			public.Set(handler.Public{
				Edge: e, Auth: s.auth, Metrics: s.metrics, Log: s.rt.Log, AllowedOrigins: s.config.AllowedOrigins, Ready: s.Ready,
			}.Handler())
			s.store.Store(registry)
			return nil
		})
}

// edge joins what decides with whom it asks.
func (s *Service) edge(registry *store.Store, members *cluster.Client, opened *closers) *edge.Edge {
	vault := peers.NewVault(s.rt.Identity, s.config.VaultAddrs)
	scheduler := peers.NewScheduler(s.rt.Identity, s.config.SchedulerAddrs)
	workers := peers.NewWorkers(s.rt.Identity)
	opened.add(func() error {
		vault.Close()
		scheduler.Close()
		workers.Close()
		return nil
	})
	return edge.New(edge.Config{
		Policy: s.policy, Stores: s.stores, MasterLogins: s.config.MasterLogins, Shards: members.Settings().GetShards(),
		AllowHTTPWebhooks: s.config.AllowHTTPWebhooks,
		Store:             registry, Vault: vault, Cluster: members, Scheduler: scheduler, Workers: workers, Log: s.rt.Log, Count: s.metrics.Gone,
	})
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
func (s *Service) place(ctx context.Context, registry *store.Store) (former map[string]string, err error) {
	err = service.Await(ctx, s.rt.Log, waiting, func(ctx context.Context) (err error) {
		former, err = registry.Place(ctx, s.policy.Stores, time.Now())
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("admin-api: %w", err)
	}
	return former, nil
}
