// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Command bench-start measures how long a cluster with very many users takes to start: from
// the start of its processes until its workers know the listeners of all users; once with
// the etcd it had before, and once with an empty one beside the old registry. The mail store
// refuses all connections: what is measured comes before them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"mailpush.internal/trials/internal/rig"
)

func main() {
	users := flag.Int("users", 200_000, "registered users")
	workers := flag.Int("workers", 2, "listener-workers")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	err := bench(ctx, os.Stdout, *users, *workers)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-start:", err)
		os.Exit(1)
	}
}

func bench(ctx context.Context, stdout io.Writer, users, workers int) (err error) {
	if users < 1 || workers < 1 {
		return errors.New("want at least a user and a worker")
	}
	dir, err := os.MkdirTemp("", "mailpush-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	programs, err := rig.Build(ctx, dir)
	if err != nil {
		return err
	}
	b := &bed{out: stdout, dir: dir, programs: programs, users: users}
	defer func() { err = errors.Join(err, b.close()) }()
	fmt.Fprintf(stdout, "bench-start: registering %d users\n", users)
	if err := b.fill(ctx, workers); err != nil {
		return fmt.Errorf("registering users: %w", err)
	}
	again, err := b.start(ctx)
	if err != nil {
		return fmt.Errorf("starting anew: %w", err)
	}
	fmt.Fprintf(stdout, "bench-start: all listeners known after %v; etcd is emptied\n", again)
	if err := b.emptyEtcd(ctx); err != nil {
		return fmt.Errorf("emptying etcd: %w", err)
	}
	fresh, err := b.start(ctx)
	if err != nil {
		return fmt.Errorf("starting with an empty etcd: %w", err)
	}
	fmt.Fprintf(stdout, "bench-start: all listeners known after %v\n", fresh)
	report(stdout, users, again, fresh)
	return nil
}

func report(w io.Writer, users int, again, fresh took) {
	fmt.Fprintf(w, "result: start_%dk_s=%.1f\n", users/1000, again.wall.Seconds())
	fmt.Fprintf(w, "result: start_%dk_new_etcd_s=%.1f\n", users/1000, fresh.wall.Seconds())
}
