// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Command bench measures delivery: the loop of package deliver with the webhook
// transport, as the listener-worker runs them, against HTTP endpoints on loopback in a
// process of their own. Mailboxes and the registry are in memory, so that what is
// measured is delivery and nothing else. Invariant: every mail is delivered, or the
// measurement fails.
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
	"runtime/pprof"
	"strings"
	"time"
)

func main() {
	var size dimensions
	var only, profile string
	flag.IntVar(&size.mailboxes, "mailboxes", 1000, "mailboxes in the measurements of latency")
	flag.IntVar(&size.rate, "rate", 1000, "events per second in the measurements of latency")
	flag.DurationVar(&size.span, "for", 10*time.Second, "how long to measure the added latency")
	flag.IntVar(&size.deliveries, "deliveries", 100_000, "requests in the measurement of throughput")
	flag.IntVar(&size.rounds, "rounds", 11, "rounds with and without an endpoint that hangs; the median counts")
	flag.DurationVar(&size.round, "round", 3*time.Second, "how long a round takes")
	flag.StringVar(&only, "only", "", "measure only these of latency,throughput,burst,hang")
	flag.StringVar(&profile, "profile", "", "write a profile of this process to a file")
	flag.Parse()
	if flag.Arg(0) == receiverArgument {
		os.Exit(receive(os.Stdin, os.Stdout, os.Stderr))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := bench(ctx, os.Stdout, size, only, profile); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1) //nolint:gocritic // there is nothing left for stop to do
	}
}

// dimensions are those of the measurements.
type dimensions struct {
	mailboxes, rate int
	span            time.Duration
	deliveries      int
	rounds          int
	round           time.Duration
}

func (d dimensions) check() error {
	if d.mailboxes < origins || d.rate < 1 || d.deliveries < 1000 || d.rounds < 1 || d.span <= 0 || d.round <= 0 {
		return fmt.Errorf("at least %d mailboxes, 1,000 deliveries, and one of everything else are needed", origins)
	}
	return nil
}

func bench(ctx context.Context, w io.Writer, size dimensions, only, profile string) (err error) {
	if err := size.check(); err != nil {
		return err
	}
	if profile != "" {
		file, err := os.Create(profile)
		if err != nil {
			return fmt.Errorf("opening the profile: %w", err)
		}
		defer file.Close()
		if err := pprof.StartCPUProfile(file); err != nil {
			return fmt.Errorf("profiling: %w", err)
		}
		defer pprof.StopCPUProfile()
	}
	endpoints, err := startReceiver(ctx)
	if err != nil {
		return fmt.Errorf("starting the endpoints: %w", err)
	}
	defer func() { err = errors.Join(err, endpoints.stop()) }()
	fmt.Fprintf(w, "bench: delivery to webhooks on loopback, %s, %d cores, endpoints in a process of their own on the same cores\n\n",
		runtime.Version(), runtime.NumCPU())
	var results []string
	for _, m := range measurements() {
		if only != "" && !strings.Contains(","+only+",", ","+m.name+",") {
			continue
		}
		lines, err := m.run(ctx, w, size, endpoints)
		if err != nil {
			return fmt.Errorf("measuring %s: %w", m.name, err)
		}
		results = append(results, lines...)
	}
	fmt.Fprintln(w)
	for _, line := range results {
		fmt.Fprintln(w, "result: "+line)
	}
	return nil
}

// measurement prints what it does and finds to w, and returns the results.
type measurement struct {
	name string
	run  func(ctx context.Context, w io.Writer, size dimensions, endpoints *receiver) ([]string, error)
}

func measurements() []measurement {
	return []measurement{
		{"latency", measureLatency},
		{"throughput", measureThroughput},
		{"burst", measureBurst},
		{"hang", measureHang},
	}
}
