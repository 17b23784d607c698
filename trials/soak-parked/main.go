// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Command soak-parked holds thousands of TLS listeners in one worker for half an hour,
// with mail for some of them and a word to all of them now and then. Invariant: it exits 0
// only when every mail was pushed, every listener is there at the end, hardly any had to log
// in again, and the worker's memory has not grown.
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

	"mailpush.internal/trials/internal/crowd"
	"mailpush.internal/trials/internal/rig"
)

// plan is how much of everything there is.
type plan struct {
	listeners int
	length    time.Duration
	mails     int           // a second, in all mailboxes together
	still     time.Duration // between two words to all listeners
}

func main() {
	if code, played := rig.Role(os.Args, os.Stdout, os.Stderr); played {
		os.Exit(code)
	}
	var p plan
	flag.IntVar(&p.listeners, "listeners", 18000, "TLS listeners to hold in one worker")
	flag.DurationVar(&p.length, "for", 30*time.Minute, "how long to hold them")
	flag.IntVar(&p.mails, "mails", 50, "mails a second")
	flag.DurationVar(&p.still, "still", 2*time.Minute, "how often the mail store says that it is still there")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := soak(ctx, os.Stdout, p); err != nil {
		fmt.Fprintln(os.Stderr, "soak-parked:", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop was called
	}
}

func soak(ctx context.Context, out io.Writer, p plan) (err error) {
	if p.listeners < 1 || p.mails < 1 || p.mails > p.listeners || p.length < time.Second || p.still <= 0 {
		return errors.New("want at least one listener, a mail a second, no more mails than listeners, and a second")
	}
	dir, err := os.MkdirTemp("", "mailpush-soak-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	programs, err := rig.BuildShipped(ctx, dir)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "soak-parked: %d listeners for %v, %d mails a second\n", p.listeners, p.length, p.mails)
	c, err := crowd.New(ctx, crowd.Options{Programs: programs, Out: out})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	if err := c.Subscribe(ctx, p.listeners); err != nil {
		return err
	}
	s := &soaking{Crowd: c, out: out, plan: p, mails: make([]uint32, p.listeners)}
	if err := s.warmUp(ctx); err != nil {
		return err
	}
	if err := s.run(ctx); err != nil {
		return err
	}
	return s.judge(ctx)
}
