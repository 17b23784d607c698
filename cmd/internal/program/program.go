// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package program is the thin main of one service: flags, settings, listeners,
// signals, exit code. Invariant: a service either starts with settings that passed
// validation, or its process says why on one line and exits 1; SIGTERM stops it in
// order, a second one at once; SIGUSR2 stops it in order and starts it again in its place;
// SIGHUP has it read its settings again, and never ends it. A supervised service ends in
// order with its parent, too.
package program

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"mailpush.internal/cmd/internal/online"
	"mailpush.internal/cmd/internal/reload"
	"mailpush.internal/cmd/internal/settings"
	"mailpush.internal/cmd/internal/supervise"
	"mailpush.internal/cmd/internal/wire"
	"mailpush.internal/pkg/identity"
	"mailpush.internal/pkg/secret"
	"mailpush.internal/pkg/service"
)

// Exit codes of every service.
const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2
)

// list is a flag that may be given several times.
type list []string

func (l *list) String() string         { return fmt.Sprint(*l) }
func (l *list) Set(value string) error { *l = append(*l, value); return nil }

type options struct {
	config  string
	check   Check
	ready   bool
	version bool
	set     list

	supervise bool
}

// Service is what a process runs. Name and Build must be set.
type Service struct {
	Name  string
	Build wire.Builder
	// Check tells what is wrong with settings that only the service itself can judge; it is
	// part of validating them.
	Check func(*settings.Settings) error
	// Warnings are what else than [settings.Settings.Warnings] an operator should mend.
	Warnings func(*settings.Settings) []string
	// Probes are what it needs to reach.
	Probes func(*settings.Settings) []online.Probe
}

// Main runs the service as this process and returns its exit code.
func Main(of Service, version string, args []string, stdout, stderr io.Writer) int {
	name := of.Name
	var o options
	flags := flagSet(name, &o, stderr)
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		return exitUsage
	case flags.NArg() > 0:
		fmt.Fprintf(stderr, "%s: unexpected argument %q\n", name, flags.Arg(0))
		return exitUsage
	case o.version:
		fmt.Fprintf(stdout, "%s %s\n", name, version)
		return exitOK
	}
	if err := secret.NoDumps(); err != nil {
		fmt.Fprintf(stderr, "%s: the kernel may write this process's memory to disk: %v\n", name, err)
	}
	read := of.startable
	if o.ready {
		read = of.settings // whoever runs is not less ready for a file's mode
	}
	s, err := read(o)
	switch {
	case err != nil:
	case o.ready:
		err = ready(s.OpsListen(name))
	case o.check.Asked:
		err = of.explain(s, o.check, stdout)
	case o.supervise && !supervise.Supervised():
		return supervised(name, s, o, args, stderr)
	default:
		err = of.run(version, reload.Config{
			Services: []string{name}, Path: o.config, Started: s,
			Load: func() (*settings.Settings, error) { return of.startable(o) },
		})
	}
	if err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", name, err)
		return exitError
	}
	return exitOK
}

// settings reads the settings, and tells all that is wrong with them.
func (p Service) settings(o options) (*settings.Settings, error) {
	s, err := settings.Load(o.config, os.Environ(), o.set)
	if err != nil {
		return nil, err
	}
	err = s.Validate(p.Name)
	if p.Check != nil {
		err = errors.Join(err, p.Check(s))
	}
	return s, err
}

// startable are the settings, when the service may be started with their files as well.
func (p Service) startable(o options) (*settings.Settings, error) {
	s, err := p.settings(o)
	if err == nil {
		err = s.CheckFileModes(p.Name)
	}
	return s, err
}

func (p Service) warnings(s *settings.Settings) []string {
	if p.Warnings == nil {
		return nil
	}
	return p.Warnings(s)
}

// explain judges the certificates, says what the settings mean and, when it is asked to,
// reaches for what they name.
func (p Service) explain(s *settings.Settings, check Check, stdout io.Writer) error {
	if err := errors.Join(s.CheckIdentity(p.Name), s.CheckServed(p.Name)); err != nil {
		return err
	}
	s.Explain(stdout, p.Name, p.warnings(s)...)
	if check.Online && p.Probes != nil {
		if err := online.Look(context.Background(), stdout, p.Probes(s)); err != nil {
			return err
		}
	}
	fmt.Fprintf(stdout, "%s: the configuration is valid\n", p.Name)
	return nil
}

func flagSet(name string, o *options, stderr io.Writer) *flag.FlagSet {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.config, "config", "", "the cluster's YAML `FILE`")
	flags.Var(&o.check, "check", CheckUsage)
	flags.BoolVar(&o.ready, "ready", false, "ask the service that runs with this configuration whether it is ready, and exit")
	flags.BoolVar(&o.version, "version", false, "print the version and exit")
	flags.Var(&o.set, "set", "one setting as `KEY=VALUE`, e.g. worker.capacity=5000; may be repeated")
	if name == identity.Worker {
		flags.BoolVar(&o.supervise, "supervise", false, "run as a child of this process: start it again when it ends, and let others take over at once when it dies")
	}
	flags.Usage = func() {
		fmt.Fprintf(stderr, "%s is one service of a mailpush cluster.\n\n  %s --config /etc/mailpush/mailpush.yaml\n\nFlags:\n", name, name)
		flags.PrintDefaults()
		fmt.Fprintln(stderr, "\nEach setting can also come from the environment: push.allowedClients is\nMAILPUSH_PUSH_ALLOWED_CLIENTS. Flags win over the environment, both over the file.")
	}
	return flags
}

func (p Service) run(version string, r reload.Config) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	// After the first signal the default action is back, so that a second one ends
	// a stop that hangs.
	context.AfterFunc(ctx, stop)
	parent, err := supervise.FindParent()
	if err != nil {
		return err
	}
	defer func() { _ = parent.Close() }() // nothing more is told
	ctx = parent.Watch(ctx)
	ctx, restart := wire.NewRestart(ctx)
	hangups := reload.Signals()

	s := r.Started
	id, err := identity.Load(s.Cluster.Name, p.Name, s.IdentityFiles(p.Name))
	if err != nil {
		return err
	}
	r.Level = new(slog.LevelVar)
	r.Log = s.Log.Logger(r.Level).With("service", p.Name)
	loop := reload.New(r)
	rt := service.Runtime{Log: r.Log, Metrics: Metrics(), Identity: id, Version: version}
	if err := loop.Register(rt.Metrics); err != nil {
		return err
	}
	for _, words := range append(s.Warnings(p.Name), p.warnings(s)...) {
		rt.Log.WarnContext(ctx, "the configuration is not as safe as it could be", "warning", words)
	}
	built, err := wire.Build(ctx, p.Build, s, rt)
	if err != nil {
		return err
	}
	rt.Log.InfoContext(ctx, "starting", "version", version, "cluster", s.Cluster.Name)
	again := func(ctx context.Context) error {
		return loop.Run(ctx, hangups, reload.Process{
			Asks: []reload.Ask{adopt(id), built.Reload},
			Ends: func() map[string]time.Time { return reload.IdentityEnds(id) },
		})
	}
	if err := Run(ctx, rt, built, again); err != nil {
		return errors.Join(err, wire.CloseAll(built.Kept))
	}
	rt.Log.InfoContext(ctx, "stopped")
	return restart.Follow(built.Kept)
}

// adopt has an identity take on the certificates that are there.
func adopt(id *identity.Identity) reload.Ask {
	return func(s *settings.Settings) (func(), error) {
		read, err := identity.Load(id.Cluster(), id.Service(), s.IdentityFiles(id.Service()))
		if err != nil {
			return nil, err
		}
		return func() { id.Adopt(read) }, nil
	}
}

// Metrics makes a registry that also tells about the process.
func Metrics() *prometheus.Registry {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return registry
}

// Run runs a built service and its health and metrics endpoint until ctx ends, and what
// goes on beside it for as long as it runs. The endpoint outlives the service, so that a
// stop can be watched.
func Run(ctx context.Context, rt service.Runtime, built wire.Built, beside ...func(context.Context) error) error {
	opsCtx, stopOps := context.WithCancel(context.WithoutCancel(ctx))
	defer stopOps()
	service.ExportReadiness(rt, built.Service.Ready)
	ops := service.OpsHandler(rt, built.Service.Ready, built.RPC...)
	life, end := context.WithCancel(ctx)
	defer end()
	all := []func(context.Context) error{
		func(ctx context.Context) error {
			defer stopOps()
			defer end()
			return built.Service.Run(ctx)
		},
		func(context.Context) error {
			return service.ServeOps(opsCtx, rt.Log, built.Ops, ops)
		},
	}
	return service.Group(life, append(all, beside...)...)
}
