// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Command sim runs the scheduling protocol through schedules of faults: the decisions
// of production, of leaders (package term) and of workers (package hold), on an etcd,
// a registry, a network and clocks that are simulated. Each schedule follows from its
// seed alone, so one that fails can be run again, step by step.
//
// Messages are lost, late and out of order; watch events come twice, stale or not at
// all; processes die, and stop for longer than a lease; clocks run up to 5 % fast or
// slow; leases end as early as that allows, or late; transactions land after their
// sender has given up; two leaders are at work at once; etcd and the registry go away.
// Some workers have a supervisor, which revokes the lease of one that has died, late and
// by the same network; supervisors stand still and die, too.
// Workers join, drain, and leave in order, alone or one after the other. Most clusters
// are small, where everybody meets everybody; a few have more workers than one
// transaction has room for, or more shards than a worker gives up at a time.
//
// What is checked: no shard is held twice; a hold begins under an epoch that is open,
// and the epochs of a shard's holders grow; nothing is granted under an epoch that the
// registry had opened before the cluster began; the registry accepts no lower epoch; a
// deposed leader's change never lands; nobody pushes without the right to; and when the
// faults end, every shard comes to be held within two leases and 10 s. In one schedule
// of ten, leases also end before their time, as an operator can have them; then the
// worker that had one may hold what others do, and the registry is what keeps the damage
// out.
//
// What it does not show: that package cluster asks etcd what the simulated etcd is
// asked. The fault tests on real processes are for that.
package main

import (
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

func main() {
	var s series
	flag.IntVar(&s.schedules, "schedules", 100_000, "how many schedules to run")
	flag.Uint64Var(&s.seed, "seed", rand.Uint64(), "what all of them follow from; drawn if not given")
	flag.IntVar(&s.first, "first", 0, "the number of the first")
	flag.BoolVar(&s.verbose, "v", false, "print what happens")
	flag.Parse()
	if s.schedules < 1 || s.first < 0 {
		fmt.Fprintln(os.Stderr, "sim: -schedules must be at least 1, and -first at least 0")
		os.Exit(1)
	}
	if !s.run(os.Stdout) {
		os.Exit(1)
	}
}

// series is a number of schedules with one seed.
type series struct {
	seed             uint64
	first, schedules int
	verbose          bool
	mutation         mutation
}

// seedOf is the seed of the nth schedule of a series.
func seedOf(seed uint64, n int) uint64 {
	return rand.New(rand.NewPCG(seed, uint64(n))).Uint64()
}

// run runs the schedules on all cores and says how they went. It returns false when
// one of them fails.
func (s series) run(out io.Writer) bool {
	fmt.Fprintf(out, "sim: %d schedules of seed %d\n", s.schedules, s.seed)
	var mu sync.Mutex // guards total, failed and out
	var total outcome
	failed, began, told := 0, time.Now(), time.Now()
	var next atomic.Int64
	var work sync.WaitGroup
	for range s.cores() {
		work.Go(func() {
			for {
				n := int(next.Add(1)) - 1
				if n >= s.schedules {
					return
				}
				result := runSchedule(seedOf(s.seed, s.first+n), s.mutation, s.tracer(out))
				mu.Lock()
				total.add(result)
				if result.violation != "" {
					failed++
					if failed <= 10 {
						fmt.Fprintf(out, "schedule %d: %s\n  again: go run ./services/scheduler/sim -seed %d -first %d -schedules 1 -v\n",
							s.first+n, result.violation, s.seed, s.first+n)
					}
				}
				if time.Since(told) > 10*time.Second {
					told = time.Now()
					fmt.Fprintf(out, "  %d of %d\n", n+1, s.schedules)
				}
				mu.Unlock()
			}
		})
	}
	work.Wait()
	fmt.Fprintf(out, "%d faults, %d leases of dead workers revoked, %d late commits of those refused, %d plans of several transactions, "+
		"%d pushes of which the registry was asked about %d, %.0f schedules a second, at rest %.1f s after the last fault, %d failed\n",
		total.faults, total.revoked, total.fenced, total.long, total.delivers+total.confirmed, total.confirmed,
		float64(s.schedules)/time.Since(began).Seconds(), total.rest.Seconds(), failed)
	fmt.Fprintf(out, "result: sim_schedules=%d\nresult: overlapping_holds=%d\nresult: stale_epochs_accepted=%d\n",
		s.schedules, total.overlaps, total.stale)
	return failed == 0
}

func (s series) cores() int {
	if s.verbose {
		return 1
	}
	return runtime.GOMAXPROCS(0)
}

func (s series) tracer(out io.Writer) func(time.Duration, string) {
	if !s.verbose {
		return nil
	}
	return func(now time.Duration, what string) { fmt.Fprintf(out, "%12v %s\n", now, what) }
}

func (o *outcome) add(other outcome) {
	o.overlaps += other.overlaps
	o.stale += other.stale
	o.delivers += other.delivers
	o.confirmed += other.confirmed
	o.faults += other.faults
	o.long += other.long
	o.revoked += other.revoked
	o.fenced += other.fenced
	o.rest = max(o.rest, other.rest)
}
