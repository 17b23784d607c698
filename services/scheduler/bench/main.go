// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Command bench measures the scheduler's decisions: how long they take on one core,
// how even they are, and how much they move when a worker joins or is lost, beside the
// usual ways to hash shards to workers. Invariant: all are given the same shards, with
// the listeners that the hash of users puts there in production.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"syscall"
	"time"
)

func main() {
	var size dimensions
	flag.IntVar(&size.listeners, "listeners", 1_000_000, "listeners to run")
	flag.IntVar(&size.workers, "workers", 1000, "workers to run them")
	flag.IntVar(&size.shards, "shards", 16384, "shards they are grouped in, a power of two")
	flag.IntVar(&size.runs, "runs", 15, "times to make each decision; the median counts")
	flag.Parse()
	runtime.GOMAXPROCS(1)
	if err := bench(os.Stdout, size); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// dimensions are those of the cluster, and of the measurement.
type dimensions struct{ listeners, workers, shards, runs int }

func (d dimensions) check() error {
	switch {
	case d.shards < 1 || d.shards&(d.shards-1) != 0:
		return fmt.Errorf("-shards %d: must be a power of two", d.shards)
	case d.workers < 3 || d.listeners < 1 || d.runs < 1:
		return fmt.Errorf("-workers %d -listeners %d -runs %d: needs at least 3, 1 and 1", d.workers, d.listeners, d.runs)
	}
	return nil
}

func bench(w io.Writer, size dimensions) error {
	if err := size.check(); err != nil {
		return err
	}
	fmt.Fprintf(w, "bench: %d listeners in %d shards on %d workers, %s, one core, median of %d, processor time\n",
		size.listeners, size.shards, size.workers, runtime.Version(), size.runs)
	weights := listenersByShard(size)
	ours, err := measureScheduler(size, weights)
	if err != nil {
		return fmt.Errorf("measuring the scheduler: %w", err)
	}
	all := []outcome{
		ours,
		measurePeer(size, "consistent-hash ring, 100 virtual nodes", ring(100)),
		measurePeer(size, "consistent-hash ring, 512 virtual nodes", ring(512)),
		measurePeer(size, "jump hash", jump),
		measurePeer(size, "rendezvous", rendezvous),
	}
	report(w, size, weights, all)
	return nil
}

// placement is, by shard, the id of the worker that runs it.
type placement []int

// outcome is what was measured of one way to place shards.
type outcome struct {
	name string
	// full is the decision from scratch, join and leave those after one worker came,
	// and after one was lost.
	full, join, leave time.Duration
	// before, joined and left are what they led to; join and leave start at before.
	before, joined, left placement
	// leaver is the id of the worker that was lost.
	leaver int
}

// median runs a decision a number of times and returns the time it takes a core that
// has nothing else to do: what the clock shows depends on who else is running.
func median(runs int, decide func()) time.Duration {
	decide() // warms up
	times := make([]time.Duration, runs)
	for i := range times {
		started := processorTime()
		decide()
		times[i] = processorTime() - started
	}
	slices.Sort(times)
	return times[runs/2]
}

// processorTime is what this process has used, garbage collection included.
func processorTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0 // it fails for bad arguments only
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
