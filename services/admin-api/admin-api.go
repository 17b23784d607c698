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

// Run opens the registry, waits for the cluster and serves until ctx ends.
func (s *Service) Run(ctx context.Context) (err error) {
	registry, err := store.Open(ctx, s.config.Database, s.rt.Log)
	if err != nil {
		return fmt.Errorf("admin-api: %w", err)
	}
	defer func() { err = errors.Join(err, registry.Close()) }()
	installation, err := registry.Installation(ctx)
	if err != nil {
		return fmt.Errorf("admin-api: %w", err)
	}
	members, err := cluster.Await(ctx, s.config.Cluster, s.rt.Log)
	if err != nil {
		return fmt.Errorf("admin-api: %w", err)
	}
	if members == nil {
		return nil // stopped before it began
	}
	defer func() { err = errors.Join(err, members.Close()) }()
	return s.serve(ctx, registry, installation, members)
}

func (s *Service) serve(ctx context.Context, registry *store.Store, installation string, members *cluster.Client) error {
	shards := members.Settings().GetShards()
	calls := pkgrpc.NewCalls(s.rt.Metrics)
	vault := peers.NewVault(s.rt.Identity, s.config.VaultAddrs, calls)
	defer vault.Close()
	scheduler := peers.NewScheduler(s.rt.Identity, s.config.SchedulerAddrs, calls)
	defer scheduler.Close()
	workers := peers.NewWorkers(s.rt.Identity)
	defer workers.Close()
	now := s.rules.Load()
	on := &serving{
		Service: s, registry: registry, shards: shards, installation: installation,
		edge: edge.New(edge.Config{
			Shards: shards, Store: registry, Vault: vault, Cluster: members, Scheduler: scheduler, Workers: workers,
			Log: s.rt.Log, Count: s.metrics.Gone,
		}),
	}
	former, err := registry.Place(ctx, now.Policy.Stores, time.Now())
	if err != nil {
		return fmt.Errorf("admin-api: %w", err)
	}
	on.begin(now)
	return service.Group(ctx,
		func(ctx context.Context) error { return on.follow(ctx, now, former) },
		func(ctx context.Context) error {
			// Workers and schedulers must hear whose this registry is, in a foreign cluster,
			// too. Nobody else is to rely on it there.
			if err := members.AwaitBelonging(ctx, installation); err != nil {
				return err
			}
			s.store.Store(registry)
			return service.Serve(ctx, s.rt.Log, "public", s.config.Public, s.tls.Config(), &on.public)
		},
		func(ctx context.Context) error {
			return service.Serve(ctx, s.rt.Log, "registry", s.config.Internal, s.rt.Identity.ServerTLS(), &on.internal)
		})
}
