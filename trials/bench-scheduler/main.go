// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Command bench-scheduler measures what a crash, with a supervisor and without, and an
// orderly stop of a worker cost the mailboxes it served: real worker processes against an embedded etcd, all the
// way to the next owner's IDLE, and the pushes of mail that arrives while a worker
// stops. The decisions alone are measured by the scheduler's
// own benchmark; make bench-scheduler runs both.
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
	"time"

	"mailpush.internal/trials/internal/rig"
)

func main() {
	kills := flag.Int("kills", 20, "workers to kill for each lease")
	listeners := flag.Int("listeners", 100, "listeners to keep")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	err := bench(ctx, os.Stdout, *kills, *listeners)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-scheduler:", err)
		os.Exit(1)
	}
}

func bench(ctx context.Context, stdout io.Writer, kills, listeners int) (err error) {
	dir, err := os.MkdirTemp("", "mailpush-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	programs, err := rig.Build(ctx, dir)
	if err != nil {
		return err
	}
	var all []takeovers
	for _, way := range []way{{ttl: 5 * time.Second}, {ttl: 5 * time.Second, supervised: true}, {ttl: 3 * time.Second}} {
		fmt.Fprintf(stdout, "bench-scheduler: %d kill -9 of a worker, %s, %d listeners on two workers\n", kills, way, listeners)
		measured, err := measureTakeover(ctx, stdout, programs, way, kills, listeners)
		if err != nil {
			return fmt.Errorf("measuring take-over, %s: %w", way, err)
		}
		all = append(all, measured)
	}
	report(stdout, all)
	return nil
}
