// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"mailpush.internal/pkg/cluster"
	"mailpush.internal/pkg/cluster/embedded"
	"mailpush.internal/pkg/identity"
	"mailpush.internal/pkg/service"
	scheduler "mailpush.internal/services/scheduler"
)

const backend = "imapidle"

// world is a cluster: an etcd, a scheduler, workers, and what stands for admin-api.
type world struct {
	size     dimensions
	config   cluster.Config
	etcd     *embedded.Server
	client   *cluster.Client
	registry *registry
	workers  []*worker
	victim   *worker // reaches etcd by way of road
	road     *road
	values   int64 // bytes of the newest values, as last read

	authority *identity.Authority
	epochs    atomic.Uint64
	closers   []func()
}

// newWorld starts an etcd and connects to it. The rest starts with begin.
func newWorld(ctx context.Context, size dimensions) (_ *world, closeWorld func(), err error) {
	w := &world{size: size}
	w.registry = newRegistry(size, w.epochs.Load)
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	dir, err := os.MkdirTemp("", "mailpush-etcd-")
	if err != nil {
		return nil, nil, err
	}
	w.onClose(func() { _ = os.RemoveAll(dir) })
	if w.authority, err = identity.OpenAuthority(filepath.Join(dir, "tls"), "bench"); err != nil {
		return nil, nil, err
	}
	if w.etcd, err = embedded.Start(ctx, embedded.Config{Dir: filepath.Join(dir, "data")}); err != nil {
		return nil, nil, err
	}
	w.onClose(w.etcd.Close)
	w.config = cluster.Config{Endpoints: w.etcd.Endpoints(), Shards: uint32(size.shards), LeaseTTL: size.lease}
	if w.client, err = cluster.Open(ctx, w.config, slog.New(slog.DiscardHandler)); err != nil {
		return nil, nil, err
	}
	w.onClose(func() { _ = w.client.Close() })
	return w, w.close, nil
}

func (w *world) onClose(f func()) { w.closers = append(w.closers, f) }

func (w *world) close() {
	for len(w.closers) > 0 {
		last := len(w.closers) - 1
		w.closers[last]()
		w.closers = w.closers[:last]
	}
}

// begin starts the workers, then the scheduler, and waits for the plan to be carried out.
func (w *world) begin(ctx context.Context) error {
	w.onClose(func() { w.stopWorkers(ctx) })
	w.workers = make([]*worker, w.size.workers-1)
	errs := make([]error, len(w.workers))
	sideBySide(len(w.workers), func(i int) {
		w.workers[i], errs[i] = w.startWorker(ctx, w.client, i)
	})
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if err := w.startVictim(ctx); err != nil {
		return err
	}
	if err := w.startScheduler(ctx); err != nil {
		return err
	}
	return w.settled(ctx, w.size.workers)
}

func (w *world) startWorker(ctx context.Context, client *cluster.Client, number int) (*worker, error) {
	// Twice of what is needed, so that one can be lost of two.
	capacity := uint32(2*w.size.listeners/w.size.workers + 1)
	return startWorker(ctx, client, fmt.Sprintf("10.0.%d.%d:8104", number>>8, number&0xff), capacity, &w.epochs)
}

// startVictim starts the worker that will crash.
func (w *world) startVictim(ctx context.Context) (err error) {
	if w.road, err = newRoad(w.etcd.Endpoints()[0]); err != nil {
		return err
	}
	w.onClose(w.road.cut)
	config := w.config
	config.Endpoints = []string{w.road.addr()}
	client, err := cluster.Open(ctx, config, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	w.onClose(func() { _ = client.Close() })
	w.victim, err = w.startWorker(ctx, client, w.size.workers-1)
	return err
}

func (w *world) stopWorkers(ctx context.Context) {
	ctx = context.WithoutCancel(ctx)
	all := slices.Concat(w.workers, []*worker{w.victim})
	sideBySide(len(all), func(i int) {
		if all[i] != nil {
			all[i].stop(ctx)
		}
	})
}

// sideBySide calls do with each number below n, several at a time.
func sideBySide(n int, do func(i int)) {
	var workers sync.WaitGroup
	numbers := make(chan int)
	for range startsAtOnce {
		workers.Go(func() {
			for i := range numbers {
				do(i)
			}
		})
	}
	for i := range n {
		numbers <- i
	}
	close(numbers)
	workers.Wait()
}

// startScheduler starts a scheduler, and a registry for it to ask.
func (w *world) startScheduler(ctx context.Context) error {
	registryAddr, err := w.startRegistry(ctx)
	if err != nil {
		return err
	}
	id, err := w.authority.Issue(identity.Scheduler)
	if err != nil {
		return err
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s, err := scheduler.New(
		scheduler.Config{Listener: l, Name: "bench", Cluster: w.config, RegistryAddrs: []string{registryAddr}},
		service.Runtime{Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(), Identity: id},
	)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	w.background(ctx, s.Run)
	return nil
}

// background runs something until the world is closed.
func (w *world) background(ctx context.Context, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var ended sync.WaitGroup
	ended.Go(func() { _ = run(ctx) }) // without it nothing settles, which is noticed
	w.onClose(func() {
		cancel()
		ended.Wait()
	})
}
