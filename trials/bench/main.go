// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Command bench measures what a user of mailpush feels and pays for: how long a mail
// takes to become a push through a real Dovecot, what a listener costs while it waits,
// what it costs to wake up, and what a take-over is like; stock IMAP clients that wait
// at the same mail store are measured beside it. It prints one table and
// machine-readable result lines.
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

// plan is what is measured.
type plan struct {
	revision         string
	mails, mailboxes int // through Dovecot
	listeners        int // idle ones
	pace             int // connections a second in a take-over
	peers            int // connections of each stock client
}

func main() {
	if code, played := role(os.Args); played {
		os.Exit(code)
	}
	var p plan
	flag.IntVar(&p.mails, "mails", 500, "mails to deliver through Dovecot")
	flag.IntVar(&p.mailboxes, "mailboxes", 25, "mailboxes to deliver them to, side by side")
	flag.IntVar(&p.listeners, "listeners", 9000, "idle TLS listeners to hold")
	flag.IntVar(&p.pace, "pace", 300, "connections that the mail store takes in a second, in a take-over")
	flag.IntVar(&p.peers, "peers", 4000, "connections of each stock IMAP client")
	flag.StringVar(&p.revision, "revision", "", "measure the programs of this revision, as they are without it of the tree at hand")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	err := bench(ctx, os.Stdout, p)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// role runs this process as the child it was started as.
func role(args []string) (code int, played bool) {
	if code, played := rig.Role(args, os.Stdout, os.Stderr); played {
		return code, true
	}
	return goimapRole(args, os.Stderr)
}

func bench(ctx context.Context, stdout io.Writer, p plan) (err error) {
	if p.mails < 1 || p.mailboxes < 1 || p.listeners < 2 || p.pace < 1 || p.peers < 4 {
		return errors.New("want at least a mail, a mailbox, 2 listeners, a connection a second and 4 peers")
	}
	dir, err := os.MkdirTemp("", "mailpush-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	programs, err := build(ctx, dir, p.revision)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "bench: %d cores, %s, GOMAXPROCS %d\n", runtime.NumCPU(), runtime.Version(), runtime.GOMAXPROCS(0))
	fmt.Fprintf(stdout, "bench: delivering %d mails to %d mailboxes of a real Dovecot\n", p.mails, p.mailboxes)
	var f figures
	if f.latencies, err = measureLatency(ctx, programs, p.mails, p.mailboxes); err != nil {
		return fmt.Errorf("measuring latency: %w", err)
	}
	if err := measureListeners(ctx, stdout, programs, p, &f); err != nil {
		return err
	}
	report(stdout, f)
	return nil
}

// build builds what is measured.
func build(ctx context.Context, dir, revision string) (rig.Programs, error) {
	if revision == "" {
		return rig.Build(ctx, dir)
	}
	return rig.BuildRevision(ctx, dir, revision)
}
