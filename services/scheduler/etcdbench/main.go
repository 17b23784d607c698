// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Command etcdbench measures what a cluster costs etcd: bytes stored, and writes for
// nothing happening, for a crash and for a join. The etcd, the scheduler, and each
// worker's registration, lease and decisions are the real ones; only what a worker
// would listen to is not there. Invariant: every number is etcd's own.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	var size dimensions
	flag.IntVar(&size.listeners, "listeners", 1_000_000, "listeners to run")
	flag.IntVar(&size.workers, "workers", 1000, "workers to run them")
	flag.IntVar(&size.shards, "shards", 16384, "shards they are grouped in, a power of two")
	flag.DurationVar(&size.lease, "lease", 30*time.Second, "time a lease lives, whole seconds; shorter ones are renewed more often, which writes nothing")
	flag.IntVar(&size.renewals, "renewals", 8, "renewals of each lease to watch nothing happen for")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	_, err := bench(ctx, os.Stdout, size)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "etcdbench:", err)
		os.Exit(1)
	}
}

// dimensions are those of the cluster, and of the measurement.
type dimensions struct {
	listeners, workers, shards int
	lease                      time.Duration
	renewals                   int
}

// measured is what a cluster has cost.
type measured struct {
	first, idle, crash, join cost
	// stored is what etcd holds after the first plan, values the part of it that is
	// the newest values.
	stored, values int64
	// idleFor is how long nothing happened, and renewals how many were acknowledged
	// in that time.
	idleFor  time.Duration
	renewals int
}

func bench(ctx context.Context, stdout io.Writer, size dimensions) (measured, error) {
	fmt.Fprintf(stdout, "etcdbench: %d listeners in %d shards on %d workers, leases of %s\n", size.listeners, size.shards, size.workers, size.lease)
	w, closeWorld, err := newWorld(ctx, size)
	if err != nil {
		return measured{}, fmt.Errorf("building the cluster: %w", err)
	}
	defer closeWorld()
	m, err := w.measure(ctx, stdout)
	if err != nil {
		return m, fmt.Errorf("measuring the cluster: %w", err)
	}
	report(stdout, m)
	return m, nil
}

// measure takes the cluster through its day.
func (w *world) measure(ctx context.Context, stdout io.Writer) (m measured, err error) {
	phase := func(name string, into *cost, run func(context.Context) error) {
		if err != nil {
			return
		}
		before, started := w.etcd.Counts(), time.Now()
		if err = run(ctx); err != nil {
			err = fmt.Errorf("%s: %w", name, err)
			return
		}
		*into = costOf(before, w.etcd.Counts())
		fmt.Fprintf(stdout, "  %s: %d transactions, %d raft entries, in %.1f s\n", name, into.transactions, into.entries, time.Since(started).Seconds())
	}
	phase("all workers join, and the first plan", &m.first, w.begin)
	m.stored, m.values = w.etcd.Counts().Bytes, w.values
	phase("nothing happens", &m.idle, func(ctx context.Context) error {
		started := time.Now()
		m.renewals, err = w.nothing(ctx)
		m.idleFor = time.Since(started)
		return err
	})
	phase("a worker crashes", &m.crash, w.crash)
	phase("a worker joins", &m.join, w.join)
	return m, err
}
