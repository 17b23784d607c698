// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Command soak breaks a cluster of real processes for as long as it is told to, in an
// order that follows from a seed, and judges the history of all of it. Invariant: it
// exits 0 only when no shard was held twice or left alone, no end of a hold was noticed
// late, no lower epoch was accepted, no plan was another's than the leader's, and no push
// is missing.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"
	"time"

	"mailpush.internal/trials/internal/faults"
)

func main() {
	if code, played := faults.Role(os.Args, os.Stderr); played {
		os.Exit(code)
	}
	length := flag.Duration("for", 10*time.Minute, "how long to break things")
	seed := flag.Uint64("seed", rand.Uint64(), "what the order follows from; drawn if not given")
	keep := flag.Bool("keep", false, "keep the logs of the processes, and say where")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := soak(ctx, os.Stdout, *length, *seed, *keep); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop was called
	}
}

func soak(ctx context.Context, out io.Writer, length time.Duration, seed uint64, keep bool) (err error) {
	dir, err := os.MkdirTemp("", "mailpush-soak-")
	if err != nil {
		return err
	}
	defer func() {
		if keep {
			fmt.Fprintln(out, "the logs are in", dir)
			return
		}
		if removed := os.RemoveAll(dir); err == nil {
			err = removed
		}
	}()
	fmt.Fprintf(out, "soak: %v of faults, seed %d\n", length, seed)
	w, err := faults.New(ctx, dir, out)
	if err != nil {
		return err
	}
	defer func() {
		if closed := w.Close(); err == nil {
			err = closed
		}
	}()
	random := rand.New(rand.NewPCG(seed, seed))
	scenarios := faults.Scenarios()
	for end := time.Now().Add(length); time.Now().Before(end); {
		for _, n := range random.Perm(len(scenarios)) { // each as often as every other
			if err := w.Run(ctx, scenarios[n]); err != nil {
				return err
			}
			if time.Now().After(end) {
				break
			}
		}
	}
	return w.Report(out)
}
