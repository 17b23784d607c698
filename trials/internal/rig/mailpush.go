// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package rig runs what trials break and benchmarks measure: the real programs, built
// from this workspace, as processes of their own. Invariant: everything it starts is on
// loopback and ends with its Close, and with the process that started it.
package rig

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"mailpush.internal/pkg/cluster/embedded"
	"mailpush.internal/pkg/identity"
	"mailpush.internal/pkg/proctest"
	"mailpush.internal/proto/gen/mailpush/admin/v1/adminv1connect"
	"mailpush.internal/proto/gen/mailpush/push/v1/pushv1connect"
)

const (
	startTimeout = time.Minute

	// EtcdPrefix is what everything in etcd is below.
	EtcdPrefix = "/mailpush/"
	// StoreName is what the mail store is called where Subscribe subscribes.
	StoreName = "bench"
	// Password is the password of every mailbox a rig subscribes.
	Password = "pw"
)

// Mailpush is a running mailpush under trial: admin-api and vault, and what else it is
// told to run.
type Mailpush struct {
	dir       string
	programs  Programs
	set       []string
	services  []string          // that it runs, in their order
	look      func(line []byte) // is told the log of admin-api; may be nil
	password  string
	at        addresses
	etcd      []string
	ownEtcd   *embedded.Server
	processes []*proctest.Process
	client    *http.Client
	push      pushv1connect.PushServiceClient

	// Admin is the operator's view.
	Admin adminv1connect.AdminServiceClient
}

// Store is a mail store. Without a CAFile it speaks clear text, else TLS as localhost.
type Store struct {
	Address, CAFile   string
	ConnectsPerSecond int           // 0: the default
	IdleRefresh       time.Duration // 0: the default

	Backend                    string // empty means the default
	DoveadmURL, DoveadmKeyFile string // of its doveadm; empty without one
	ReconcilePerSecond         uint32 // zero means the default
}

// Options say what a Mailpush runs. Dir, Programs and Store must be set.
type Options struct {
	Dir      string // where it keeps everything; made when missing
	Programs Programs
	Store    Store             // where Subscribe subscribes
	Others   map[string]Store  // more mail stores by name, for SubscribeAt; may be nil
	Services []string          // one process of each; empty means all
	Set      []string          // settings beside those that it takes to run, as KEY=VALUE
	Etcd     []string          // an etcd elsewhere; empty means one in this process
	Look     func(line []byte) // is told the log of admin-api; may be nil
}

// stores are all mail stores by name.
func (o Options) stores() map[string]Store {
	all := map[string]Store{StoreName: o.Store}
	maps.Copy(all, o.Others)
	return all
}

// order are all services, each after those it leans on.
func order() []string {
	return []string{identity.Vault, identity.Admin, identity.Worker, identity.Scheduler}
}

// New starts a mailpush and returns when it is ready.
func New(ctx context.Context, o Options) (*Mailpush, error) {
	m := &Mailpush{dir: o.Dir, programs: o.Programs, set: o.Set, look: o.Look, etcd: o.Etcd, password: rand.Text()}
	m.services = slices.DeleteFunc(order(), func(service string) bool {
		return len(o.Services) > 0 && !slices.Contains(o.Services, service)
	})
	if err := m.start(ctx, o); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

func (m *Mailpush) start(ctx context.Context, o Options) error {
	err := os.MkdirAll(m.dir, 0o700)
	if err != nil {
		return err
	}
	if len(m.etcd) == 0 {
		m.ownEtcd, err = embedded.Start(ctx, embedded.Config{Dir: filepath.Join(m.dir, "etcd"), ClientListen: "http://127.0.0.1:0"})
		if err != nil {
			return err
		}
		m.etcd = m.ownEtcd.Endpoints()
	}
	if m.at, err = findAddresses(ctx); err != nil {
		return err
	}
	if err := m.write(ctx, o); err != nil {
		return err
	}
	m.connect()
	if err := m.Start(); err != nil {
		return err
	}
	return m.awaitReady(ctx)
}

// Start starts the services again that Halt has stopped. It does not wait until they are
// ready.
func (m *Mailpush) Start() error {
	for _, service := range m.services {
		c := m.Command(service, service)
		if service == identity.Admin {
			c.Look = m.look
		}
		p, err := proctest.Start(c)
		if err != nil {
			return err
		}
		m.processes = append(m.processes, p)
	}
	return nil
}

// Halt stops the services, those last that others lean on. Etcd goes on.
func (m *Mailpush) Halt() error {
	var errs []error
	for _, p := range slices.Backward(m.processes) {
		errs = append(errs, p.Stop())
	}
	m.processes = nil
	return errors.Join(errs...)
}

// Command is how a process of a service is started, under a name for its log: by the
// configuration of all, with settings beside it as KEY=VALUE.
func (m *Mailpush) Command(service, name string, set ...string) proctest.Command {
	args := []string{"--config", filepath.Join(m.dir, "mailpush.yaml")}
	for _, setting := range slices.Concat(m.set, set) {
		args = append(args, "--set", setting)
	}
	return proctest.Command{Path: m.programs.Path(service), Args: args, Name: name, Log: filepath.Join(m.dir, name+".log")}
}

// StartWorker starts one more listener-worker, with settings beside those of all.
func (m *Mailpush) StartWorker(name string, set ...string) (*proctest.Process, error) {
	return proctest.Start(m.Command(identity.Worker, name, append([]string{"worker.opsListen=127.0.0.1:0"}, set...)...))
}

// StartSupervisedWorker is StartWorker for one that is the child of a supervisor, which is
// the process that is returned.
func (m *Mailpush) StartSupervisedWorker(name string, set ...string) (*proctest.Process, error) {
	c := m.Command(identity.Worker, name, append([]string{"worker.opsListen=127.0.0.1:0"}, set...)...)
	c.Args = append(c.Args, "--supervise")
	return proctest.Start(c)
}

// Restart stops a service and starts it again, with settings beside those of all. It
// returns when the service is ready.
func (m *Mailpush) Restart(ctx context.Context, service string, set ...string) error {
	at := slices.IndexFunc(m.processes, func(p *proctest.Process) bool { return p.Name() == service })
	if at < 0 {
		return fmt.Errorf("restarting %s: it does not run", service)
	}
	err := m.processes[at].Stop()
	if err != nil {
		return err
	}
	if m.processes[at], err = proctest.Start(m.Command(service, service, set...)); err != nil {
		return err
	}
	return m.awaitReady(ctx)
}

// Configure changes the configuration, for processes that start from now on.
func (m *Mailpush) Configure(change func(text string) string) error {
	name := filepath.Join(m.dir, "mailpush.yaml")
	text, err := os.ReadFile(name)
	if err != nil {
		return fmt.Errorf("changing the configuration: %w", err)
	}
	return os.WriteFile(name, []byte(change(string(text))), 0o600)
}

// Process is the process of a service, nil when there is none.
func (m *Mailpush) Process(service string) *proctest.Process {
	for _, p := range m.processes {
		if p.Name() == service {
			return p
		}
	}
	return nil
}

// WorkerOps is an address that is free for health and metrics of one worker, unless a
// Mailpush has started one itself.
func (m *Mailpush) WorkerOps() string { return m.at.WorkerOps }

// Schedulers is where schedulers are looked for. The first is the one's that a Mailpush
// starts itself.
func (m *Mailpush) Schedulers() []string { return m.at.Schedulers }

func (m *Mailpush) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	ops := map[string]string{
		identity.Vault: m.at.VaultOps, identity.Admin: m.at.AdminOps, identity.Worker: m.at.WorkerOps, identity.Scheduler: m.at.SchedulerOps,
	}
	for _, p := range m.processes {
		if err := p.Await(ctx, "readiness", Ready(ops[p.Name()])); err != nil {
			return err
		}
	}
	return nil
}

// Ready returns a check that asks a process whether it can do its work, where it serves
// health and metrics.
func Ready(address string) func(context.Context) error {
	return func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/readyz", http.NoBody)
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err == nil && response.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s", body)
		}
		return err
	}
}

// Close stops everything in order and waits for it. Services that others lean on stop
// last, so that a worker can still commit what it has delivered.
func (m *Mailpush) Close() error {
	err := m.Halt()
	if m.ownEtcd != nil {
		m.ownEtcd.Close()
	}
	if m.client != nil {
		m.client.CloseIdleConnections()
	}
	return err
}

// Await repeats check until it returns nil.
func (m *Mailpush) Await(ctx context.Context, what string, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	return m.processes[0].Await(ctx, what, check)
}
