// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package allinone runs a whole mailpush in one process: an embedded etcd, SQLite
// files and the four services, which talk over loopback with mutual TLS exactly as
// they would between machines. Invariant: no service behaves differently here,
// everything that must survive a restart lies in one directory, and that is one process's.
package allinone

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"mailpush.internal/cmd/internal/program"
	"mailpush.internal/cmd/internal/settings"
	"mailpush.internal/cmd/internal/wire"
	"mailpush.internal/cmd/internal/wire/adminwire"
	"mailpush.internal/cmd/internal/wire/schedulerwire"
	"mailpush.internal/cmd/internal/wire/vaultwire"
	"mailpush.internal/cmd/internal/wire/workerwire"
	"mailpush.internal/pkg/cluster/embedded"
	"mailpush.internal/pkg/identity"
	"mailpush.internal/pkg/secret"
	"mailpush.internal/pkg/service"
	adminapi "mailpush.internal/services/admin-api"
)

// The administrator the all-in-one process makes for itself where the settings name
// none, and the file in its directory that keeps the password.
const (
	AdminName         = "admin"
	AdminPasswordName = "admin-password"
)

// Options say how to run everything in one process. Dir and Settings must be set.
type Options struct {
	Dir      string             // where everything is kept; made when missing
	Settings *settings.Settings // addresses with port 0 get a free port
	Log      *slog.Logger
	Version  string
	Etcd     []string // the endpoints of an etcd elsewhere; empty means one of its own
}

// Node is a whole mailpush in one process.
type Node struct {
	options  Options
	settings *settings.Settings
	etcd     *embedded.Server
	built    []wire.Built
	runtimes []service.Runtime

	// AdminPassword is the password of AdminName, empty when the settings name
	// administrators; AdminPasswordFresh tells whether it was made by this start.
	AdminPassword      secret.String
	AdminPasswordFresh bool
}

// New starts the embedded etcd and builds the services. When it returns an error
// nothing is left running. The directory must be this process's: see [Hold].
func New(ctx context.Context, options Options) (*Node, error) {
	n := &Node{options: options, settings: options.Settings}
	if err := n.build(ctx); err != nil {
		n.close()
		return nil, err
	}
	return n, nil
}

func (n *Node) build(ctx context.Context) error {
	dir, err := filepath.Abs(n.options.Dir)
	if err != nil {
		return fmt.Errorf("finding the data directory: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making the data directory: %w", err)
	}
	if err := n.secrets(dir); err != nil {
		return err
	}
	if n.settings.Cluster.Etcd.Endpoints = n.options.Etcd; len(n.options.Etcd) == 0 {
		n.etcd, err = embedded.Start(ctx, embedded.Config{Dir: filepath.Join(dir, "etcd"), Log: n.options.Log})
		if err != nil {
			return fmt.Errorf("starting the embedded etcd: %w", err)
		}
		n.settings.Cluster.Etcd.Endpoints = n.etcd.Endpoints()
	}
	n.settings.Admin.Database = secret.New("sqlite://" + filepath.Join(dir, "registry.db"))
	n.settings.Vault.Database = secret.New("sqlite://" + filepath.Join(dir, "vault.db"))
	return n.services(ctx, dir)
}

// secrets makes or reads what the process knows by itself.
func (n *Node) secrets(dir string) error {
	storage := &n.settings.Push.CredStorage
	if storage.Passcrypt.IsZero() && storage.PasscryptFile == "" {
		passphrase, _, err := keep(dir, "passcrypt", newSecret)
		if err != nil {
			return err
		}
		storage.Passcrypt = secret.New(passphrase)
	}
	if len(n.settings.Admin.Administrators) > 0 {
		return nil
	}
	password, fresh, err := keep(dir, AdminPasswordName, newSecret)
	if err != nil {
		return err
	}
	n.AdminPassword, n.AdminPasswordFresh = secret.New(password), fresh
	n.settings.Admin.Administrators = administrator(n.AdminPassword)
	return nil
}

func administrator(password secret.String) []settings.Account {
	return []settings.Account{{Name: AdminName, PasswordHash: adminapi.HashPassword(password)}}
}

// services binds every address first, so that each service knows where the others
// will be, and then builds them.
func (n *Node) services(ctx context.Context, dir string) error {
	if err := validate(n.settings, order()); err != nil {
		return err
	}
	authority, err := identity.OpenAuthority(filepath.Join(dir, "tls"), n.settings.Cluster.Name)
	if err != nil {
		return err
	}
	bound, err := n.bind(ctx)
	if err != nil {
		return err
	}
	for _, name := range order() {
		if err := n.service(ctx, name, authority, bound); err != nil {
			closeAll(bound)
			return fmt.Errorf("building %s: %w", name, err)
		}
	}
	return nil
}

func (n *Node) service(ctx context.Context, name string, authority *identity.Authority, bound []net.Listener) error {
	id, err := authority.Issue(name)
	if err != nil {
		return err
	}
	rt := service.Runtime{
		Log:      n.options.Log.With("service", name),
		Metrics:  program.Metrics(),
		Identity: id,
		Version:  n.options.Version,
	}
	built, err := wire.Build(ctx, builders()[name], n.settings, rt, bound...)
	if err != nil {
		return err
	}
	n.built, n.runtimes = append(n.built, built), append(n.runtimes, rt)
	return nil
}

func builders() map[string]wire.Builder {
	return map[string]wire.Builder{
		identity.Admin:     adminwire.Build,
		identity.Vault:     vaultwire.Build,
		identity.Worker:    workerwire.Build,
		identity.Scheduler: schedulerwire.Build,
	}
}

// order are all services, each after those it leans on. The scheduler comes last, and
// stops first: it need not look for another worker when all end.
func order() []string {
	return []string{identity.Vault, identity.Admin, identity.Worker, identity.Scheduler}
}

// bind binds the addresses in the settings and writes the real ones back.
func (n *Node) bind(ctx context.Context) ([]net.Listener, error) {
	s := n.settings
	var bound []net.Listener
	for name, addresses := range map[string][]*string{
		identity.Admin:     {&s.Admin.Listen, &s.Admin.InternalListen, &s.Admin.OpsListen},
		identity.Vault:     {&s.Vault.Listen, &s.Vault.OpsListen},
		identity.Scheduler: {&s.Scheduler.Listen, &s.Scheduler.OpsListen},
		identity.Worker:    {&s.Worker.Listen, &s.Worker.OpsListen, &s.Worker.Notify.Listen},
	} {
		for _, address := range addresses {
			if *address == "" {
				continue
			}
			listener, err := wire.Listen(ctx, *address)
			if err != nil {
				closeAll(bound)
				return nil, fmt.Errorf("binding an address of %s: %w", name, err)
			}
			*address = listener.Addr().String()
			bound = append(bound, listener)
		}
	}
	return bound, nil
}

func closeAll(listeners []net.Listener) {
	for _, l := range listeners {
		_ = l.Close() // a service that was built may have closed its own
	}
}

// Settings returns the settings in force, with the addresses really bound.
func (n *Node) Settings() *settings.Settings { return n.settings }

// Services names those that run in the process.
func Services() []string { return order() }

// Reload judges settings that were read again, and returns what has all services take them.
// What New has made or bound stays.
func (n *Node) Reload(read *settings.Settings) (take func(), err error) {
	s := n.completed(read)
	var takes []func()
	for i, built := range n.built {
		if built.Reload == nil {
			continue
		}
		one, err := built.Reload(s)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", order()[i], err)
		}
		takes = append(takes, one)
	}
	return func() {
		for _, one := range takes {
			one()
		}
	}, nil
}

// completed are settings that were read again with all that New has decided.
func (n *Node) completed(read *settings.Settings) *settings.Settings {
	s, now := *read, n.settings
	s.Cluster.Etcd, s.Identity = now.Cluster.Etcd, now.Identity
	s.Admin.Database, s.Vault.Database = now.Admin.Database, now.Vault.Database
	s.Admin.Listen, s.Admin.InternalListen, s.Admin.OpsListen = now.Admin.Listen, now.Admin.InternalListen, now.Admin.OpsListen
	s.Vault.Listen, s.Vault.OpsListen = now.Vault.Listen, now.Vault.OpsListen
	s.Scheduler.Listen, s.Scheduler.OpsListen = now.Scheduler.Listen, now.Scheduler.OpsListen
	s.Worker.Listen, s.Worker.OpsListen, s.Worker.Notify.Listen = now.Worker.Listen, now.Worker.OpsListen, now.Worker.Notify.Listen
	if s.Push.CredStorage.Passcrypt.IsZero() && s.Push.CredStorage.PasscryptFile == "" {
		s.Push.CredStorage.Passcrypt = now.Push.CredStorage.Passcrypt
	}
	if len(s.Admin.Administrators) == 0 && !n.AdminPassword.IsZero() {
		s.Admin.Administrators = administrator(n.AdminPassword)
	}
	return &s
}

// Identities are the certificates of the services, which live as long as the process.
func (n *Node) Identities() []*identity.Identity {
	var ids []*identity.Identity
	for _, rt := range n.runtimes {
		ids = append(ids, rt.Identity)
	}
	return ids
}

// Registries are where the metrics of the services are.
func (n *Node) Registries() []*prometheus.Registry {
	var registries []*prometheus.Registry
	for _, rt := range n.runtimes {
		registries = append(registries, rt.Metrics)
	}
	return registries
}

// Run runs everything until ctx ends, and puts it away. Services that others lean
// on stop last, so that the worker can still commit what it has delivered.
func (n *Node) Run(ctx context.Context) error {
	defer n.close()
	run, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	done := make([]chan error, len(n.built))
	stops := make([]context.CancelFunc, len(n.built))
	for i, built := range n.built {
		var own context.Context
		own, stops[i] = context.WithCancel(context.WithoutCancel(ctx))
		done[i] = make(chan error, 1)
		go func() {
			if order()[i] == identity.Scheduler {
				n.awaitWorker(own)
			}
			err := program.Run(own, n.runtimes[i], built)
			if err != nil {
				fail(fmt.Errorf("running %s: %w", order()[i], err))
			}
			done[i] <- err
		}()
	}
	<-run.Done()
	var errs []error
	for i := range slices.Backward(n.built) {
		stops[i]()
		if err := <-done[i]; err != nil {
			errs = append(errs, fmt.Errorf("running %s: %w", order()[i], err))
		}
	}
	return errors.Join(errs...)
}

// workerTime is how long the scheduler waits for the worker to join: one that leads
// before there is a worker has to say that none is there.
const (
	workerTime = 10 * time.Second
	workerPoll = 20 * time.Millisecond
)

func (n *Node) awaitWorker(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, workerTime)
	defer cancel()
	worker := n.built[slices.Index(order(), identity.Worker)].Service
	again := time.NewTicker(workerPoll)
	defer again.Stop()
	for worker.Ready(ctx) != nil {
		select {
		case <-again.C:
		case <-ctx.Done():
			return
		}
	}
}

// Kept are the sockets that stay open for a process that follows in this one's place; see
// [wire.Restart]. They are the caller's to close.
func (n *Node) Kept() []*os.File {
	var kept []*os.File
	for _, built := range n.built {
		kept = append(kept, built.Kept...)
	}
	return kept
}

// AdminPasswordFile is where the administrator's password is kept.
func (n *Node) AdminPasswordFile() string { return filepath.Join(n.options.Dir, AdminPasswordName) }

// Ready tells what keeps any of the services from doing its work.
func (n *Node) Ready(ctx context.Context) error {
	for i, built := range n.built {
		if err := built.Service.Ready(ctx); err != nil {
			return fmt.Errorf("%s: %w", order()[i], err)
		}
	}
	return nil
}

func (n *Node) close() {
	if n.etcd != nil {
		n.etcd.Close()
	}
}
