// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Command bench measures what a user of mailpush feels: how long a mail takes to
// become a push through a real Dovecot, and how much memory a listener costs while
// it waits. It prints one table and machine-readable result lines.
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

	"mailpush.internal/trials/internal/rig"
)

// roleDouble as first argument makes this program the mail store of the memory
// measurement.
const roleDouble = "imap-double"

func main() {
	if len(os.Args) > 1 && os.Args[1] == roleDouble {
		os.Exit(doubleMain(os.Args[2:], os.Stdout))
	}
	mails := flag.Int("mails", 500, "mails to deliver through Dovecot")
	mailboxes := flag.Int("mailboxes", 25, "mailboxes to deliver them to, side by side")
	listeners := flag.Int("listeners", 2000, "idle TLS listeners to hold")
	revision := flag.String("revision", "", "measure the programs of this revision, as they are without it of the tree at hand")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	err := bench(ctx, os.Stdout, *revision, *mails, *mailboxes, *listeners)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func bench(ctx context.Context, stdout io.Writer, revision string, mails, mailboxes, listeners int) (err error) {
	dir, err := os.MkdirTemp("", "mailpush-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	programs, err := build(ctx, dir, revision)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "bench: %d cores, %s, GOMAXPROCS %d\n", runtime.NumCPU(), runtime.Version(), runtime.GOMAXPROCS(0))
	fmt.Fprintf(stdout, "bench: delivering %d mails to %d mailboxes of a real Dovecot\n", mails, mailboxes)
	times, err := measureLatency(ctx, programs, mails, mailboxes)
	if err != nil {
		return fmt.Errorf("measuring latency: %w", err)
	}
	fmt.Fprintf(stdout, "bench: holding %d idle TLS listeners\n", listeners)
	memory, err := measureMemory(ctx, programs, listeners)
	if err != nil {
		return fmt.Errorf("measuring memory: %w", err)
	}
	report(stdout, times, memory)
	return nil
}

// build builds what is measured.
func build(ctx context.Context, dir, revision string) (rig.Programs, error) {
	if revision == "" {
		return rig.Build(ctx, dir)
	}
	return rig.BuildRevision(ctx, dir, revision)
}
