// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"

	"mailpush.internal/pkg/cluster"
)

const (
	// startsAtOnce is how many workers start, and stop, side by side.
	startsAtOnce = 16
	// look is how often the cluster is looked at.
	look = 250 * time.Millisecond
	// quiet is how long nothing must be written for the cluster to count as settled:
	// more than the leader waits for changes of membership to end.
	quiet = 2 * time.Second
	// band is how far above the mean the scheduler leaves a worker's load alone.
	band = 1.10
	// patience is when it counts as never settling.
	patience = 2 * time.Minute
)

// settled waits until so many workers run all shards, and nothing is written any more.
func (w *world) settled(ctx context.Context, workers int) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errors.New("the cluster does not settle"))
	defer cancel()
	last, since := w.etcd.Counts(), time.Now()
	for {
		if err := wait(ctx, look); err != nil {
			return err
		}
		if now := w.etcd.Counts(); now.Entries != last.Entries {
			last, since = now, time.Now()
		}
		if time.Since(since) < quiet {
			continue
		}
		// A machine that has other things to do may not answer in time.
		if done, err := w.carriedOut(ctx, workers); err == nil && done {
			return nil
		}
	}
}

// carriedOut tells whether so many workers, and no others, run all shards, and nobody
// far more listeners than others: the very first plan may be older than the loads.
func (w *world) carriedOut(ctx context.Context, workers int) (bool, error) {
	read, err := w.client.Snapshot(ctx)
	if err != nil {
		return false, err
	}
	shards, bytes, most := 0, 0, 0
	for _, entry := range read.Entries {
		listeners := 0
		for _, set := range entry.Have.GetHeld() {
			shards += len(set.GetShards())
			for _, number := range set.GetShards() {
				listeners += int(w.registry.loads[number].GetListeners())
			}
		}
		most = max(most, listeners)
		bytes += proto.Size(entry.Worker) + proto.Size(entry.Want) + proto.Size(entry.Have)
	}
	w.values = int64(bytes)
	gone := slices.ContainsFunc(read.Entries, func(entry cluster.Entry) bool { return entry.Worker == nil })
	even := float64(most*workers) <= band*float64(w.size.listeners)
	return !gone && even && len(read.Entries) == workers && shards == w.size.shards, nil
}

// nothing waits for each lease to be renewed a number of times, and returns how many
// renewals there were.
func (w *world) nothing(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errors.New("the leases are not renewed in time"))
	defer cancel()
	first, err := renewals()
	if err != nil {
		return 0, err
	}
	for {
		if err := wait(ctx, look); err != nil {
			return 0, err
		}
		now, err := renewals()
		if err != nil || now-first >= w.size.renewals*w.size.workers {
			return now - first, err
		}
	}
}

// renewals is how many renewals of leases etcd has seen.
func renewals() (int, error) {
	const name = "etcd_debugging_lease_renewed_total"
	families, err := prometheus.DefaultGatherer.Gather() // where etcd keeps its own
	if err != nil {
		return 0, fmt.Errorf("reading etcd's metrics: %w", err)
	}
	for _, family := range families {
		if family.GetName() == name {
			return int(family.GetMetric()[0].GetCounter().GetValue()), nil
		}
	}
	return 0, fmt.Errorf("reading etcd's metrics: there is no %s", name)
}

// crash ends a worker's connections to etcd without a word, and waits until others
// run what it ran.
func (w *world) crash(ctx context.Context) error {
	w.road.cut()
	return w.settled(ctx, w.size.workers-1)
}

// join starts one more worker, and waits until it runs its share.
func (w *world) join(ctx context.Context) error {
	worker, err := w.startWorker(ctx, w.client, w.size.workers)
	if err != nil {
		return err
	}
	w.workers = append(w.workers, worker)
	return w.settled(ctx, w.size.workers)
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
