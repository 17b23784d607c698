// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Command bench-field measures what faults of endpoints, applications and mail stores cost:
// how long a working endpoint waits beside another tenant's broken ones, what is lost
// while a proxy answers 404 or a receiver has a wrong secret, whether an old password
// changes anything, and how soon listeners are back after an outage of a real Dovecot. It
// prints machine-readable result lines. Invariant: it exits 0 only when nothing was lost
// and nobody waited for too long.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"mailpush.internal/trials/internal/field"
	"mailpush.internal/trials/internal/rig"
)

// options are what is measured.
type options struct {
	listeners, rate, endpoints int
	away, refused, patience    time.Duration
	keep                       bool
}

func main() {
	var o options
	flag.IntVar(&o.listeners, "listeners", 1000, "listeners at Dovecot")
	flag.IntVar(&o.rate, "rate", 100, "connects a second that Dovecot is said to take")
	flag.IntVar(&o.endpoints, "endpoints", 60, "endpoints behind the proxy that answers 404")
	flag.DurationVar(&o.away, "away", 90*time.Second, "how long the origin of working and broken endpoints is away")
	flag.DurationVar(&o.refused, "refused", time.Minute, "how long receivers have a wrong secret")
	flag.DurationVar(&o.patience, "patience", 15*time.Minute, "how long to wait for what may still come")
	flag.BoolVar(&o.keep, "keep", false, "keep the logs of the processes, and say where")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	err := bench(ctx, os.Stdout, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-field:", err)
		os.Exit(1)
	}
}

func bench(ctx context.Context, stdout io.Writer, o options) (err error) {
	dir, err := os.MkdirTemp("", "mailpush-bench-")
	if err != nil {
		return err
	}
	defer func() {
		if o.keep {
			fmt.Fprintln(stdout, "the logs are in", dir)
			return
		}
		err = errors.Join(err, os.RemoveAll(dir))
	}()
	programs, err := rig.Build(ctx, dir)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "bench-field: %d cores, %s; %d listeners at Dovecot, %d connects a second\n", runtime.NumCPU(), runtime.Version(), o.listeners, o.rate)
	w, err := field.New(ctx, field.Options{Dir: dir, Programs: programs, Out: stdout, ConnectsPerSecond: o.rate})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	r, err := measure(ctx, w, o)
	if err != nil {
		return err
	}
	r.report(stdout)
	return r.err(o)
}
