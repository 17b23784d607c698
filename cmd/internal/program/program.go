// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package program is the thin main of one service: flags, settings, listeners,
// signals, exit code. Invariant: a service either starts with settings that passed
// validation, or its process says why on one line and exits 1; SIGTERM stops it in
// order, a second one at once; SIGUSR2 stops it in order and starts it again in its place.
package program

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"mailpush.internal/cmd/internal/online"
	"mailpush.internal/cmd/internal/settings"
	"mailpush.internal/cmd/internal/wire"
	"mailpush.internal/pkg/identity"
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
}

// Service is what a process runs. Name and Build must be set.
type Service struct {
	Name  string
	Build wire.Builder
	// Check tells what is wrong with settings that only the service itself can judge; it is
	// part of validating them.
	Check func(*settings.Settings) error
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
	s, err := of.settings(o)
	if err == nil {
		err = of.do(s, o, version, stdout)
	}
	if err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", name, err)
		return exitError
	}
	return exitOK
}

// settings reads and validates the settings.
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

// do does what the flags ask for.
func (p Service) do(s *settings.Settings, o options, version string, stdout io.Writer) error {
	switch {
	case o.ready:
		return ready(s.OpsListen(p.Name))
	case o.check.Asked:
		return p.explain(s, o.check, stdout)
	default:
		return run(p.Name, p.Build, version, s)
	}
}

// explain judges the certificates, says what the settings mean and, when it is asked to,
// reaches for what they name.
func (p Service) explain(s *settings.Settings, check Check, stdout io.Writer) error {
	if err := errors.Join(s.CheckIdentity(p.Name), s.CheckServed(p.Name)); err != nil {
		return err
	}
	s.Explain(stdout, p.Name)
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
	flags.Usage = func() {
		fmt.Fprintf(stderr, "%s is one service of a mailpush cluster.\n\n  %s --config /etc/mailpush/mailpush.yaml\n\nFlags:\n", name, name)
		flags.PrintDefaults()
		fmt.Fprintln(stderr, "\nEach setting can also come from the environment: push.allowedClients is\nMAILPUSH_PUSH_ALLOWED_CLIENTS. Flags win over the environment, both over the file.")
	}
	return flags
}

func run(name string, build wire.Builder, version string, s *settings.Settings) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	// After the first signal the default action is back, so that a second one ends
	// a stop that hangs.
	context.AfterFunc(ctx, stop)
	ctx, restart := wire.NewRestart(ctx)

	id, err := identity.Load(s.Cluster.Name, name, s.IdentityFiles(name))
	if err != nil {
		return err
	}
	rt := service.Runtime{Log: s.Log.Logger().With("service", name), Metrics: Metrics(), Identity: id, Version: version}
	built, err := wire.Build(ctx, build, s, rt)
	if err != nil {
		return err
	}
	rt.Log.InfoContext(ctx, "starting", "version", version, "cluster", s.Cluster.Name)
	if err := Run(ctx, rt, built); err != nil {
		return errors.Join(err, wire.CloseAll(built.Kept))
	}
	rt.Log.InfoContext(ctx, "stopped")
	return restart.Follow(built.Kept)
}

// Metrics makes a registry that also tells about the process.
func Metrics() *prometheus.Registry {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return registry
}

// Run runs a built service and its health and metrics endpoint until ctx ends.
// The endpoint outlives the service, so that a stop can be watched.
func Run(ctx context.Context, rt service.Runtime, built wire.Built) error {
	opsCtx, stopOps := context.WithCancel(context.WithoutCancel(ctx))
	defer stopOps()
	ops := service.OpsHandler(rt, built.Service.Ready, built.RPC...)
	return service.Group(ctx,
		func(ctx context.Context) error {
			defer stopOps()
			return built.Service.Run(ctx)
		},
		func(context.Context) error {
			return service.Serve(opsCtx, rt.Log, "health and metrics", built.Ops, nil, ops)
		},
	)
}
