// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Command bench measures what a user of mailpush feels: how long a mail takes to
// become a push through a real Dovecot, and how much memory a listener costs while
// it waits. It prints one table and machine-readable result lines.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"mailpush.internal/cmd/internal/program"
	"mailpush.internal/cmd/internal/wire/workerwire"
	"mailpush.internal/pkg/identity"
)

// roles are what a copy of this program does when the benchmark starts it as a
// process of its own, so that memory is measured apart.
const (
	roleWorker = "listener-worker"
	roleDouble = "imap-double"
)

func main() {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case roleWorker:
			os.Exit(program.Main(identity.Worker, workerwire.Build, "bench", os.Args[2:], os.Stdout, os.Stderr))
		case roleDouble:
			os.Exit(doubleMain(os.Args[2:], os.Stdout))
		}
	}
	mails := flag.Int("mails", 500, "mails to deliver through Dovecot")
	mailboxes := flag.Int("mailboxes", 25, "mailboxes to deliver them to, side by side")
	listeners := flag.Int("listeners", 2000, "idle TLS listeners to hold")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	err := bench(ctx, os.Stdout, *mails, *mailboxes, *listeners)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func bench(ctx context.Context, stdout io.Writer, mails, mailboxes, listeners int) error {
	fmt.Fprintf(stdout, "bench: %d cores, %s, GOMAXPROCS %d\n", runtime.NumCPU(), runtime.Version(), runtime.GOMAXPROCS(0))
	fmt.Fprintf(stdout, "bench: delivering %d mails to %d mailboxes of a real Dovecot\n", mails, mailboxes)
	times, err := measureLatency(ctx, mails, mailboxes)
	if err != nil {
		return fmt.Errorf("measuring latency: %w", err)
	}
	fmt.Fprintf(stdout, "bench: holding %d idle TLS listeners\n", listeners)
	memory, err := measureMemory(ctx, listeners)
	if err != nil {
		return fmt.Errorf("measuring memory: %w", err)
	}
	report(stdout, times, memory)
	return nil
}
