// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"mailpush.internal/pkg/cluster/clustertest"
	"mailpush.internal/pkg/cluster/embedded"
	"mailpush.internal/pkg/identity"
	"mailpush.internal/pkg/imaptest"
	"mailpush.internal/pkg/proctest"
	"mailpush.internal/trials/internal/rig"
)

const (
	// patience is when listeners count as never known.
	patience = 5 * time.Minute
	// look is how often workers are asked, the resolution of what is measured; and tellEvery is
	// how many looks lie between two lines that tell of it.
	look      = 250 * time.Millisecond
	tellEvery = 20
	// history is how many writes the first etcd has seen before the cluster comes, so that its
	// epochs are above all that an empty etcd would begin with.
	history = 2000
)

// bed is a cluster that is started and stopped, with everything it keeps.
type bed struct {
	out      io.Writer
	dir      string
	programs rig.Programs
	users    int

	etcd     *embedded.Server
	etcds    int // ever
	mailpush *rig.Mailpush
	ops      []string // of the workers
	workers  []*proctest.Process
}

// startEtcd starts an etcd that holds nothing, where the one before was.
func (b *bed) startEtcd(ctx context.Context) error {
	listen := "http://127.0.0.1:0"
	if b.etcd != nil {
		listen = b.etcd.Endpoints()[0]
		b.etcd.Close()
	}
	b.etcds++
	var err error
	b.etcd, err = embedded.Start(ctx, embedded.Config{
		Dir: filepath.Join(b.dir, fmt.Sprintf("etcd-%d", b.etcds)), ClientListen: listen,
	})
	return err
}

func (b *bed) emptyEtcd(ctx context.Context) error { return b.startEtcd(ctx) }

// fill makes the cluster, subscribes one user, stops everything, and multiplies the user.
func (b *bed) fill(ctx context.Context, workers int) error {
	if err := b.startEtcd(ctx); err != nil {
		return err
	}
	if err := b.age(ctx); err != nil {
		return err
	}
	var err error
	if b.ops, err = proctest.FreeAddresses(ctx, "127.0.0.3", workers); err != nil {
		return err
	}
	if err := b.subscribeOne(ctx); err != nil {
		return err
	}
	return multiply(ctx, filepath.Join(b.data(), "registry.db"), b.users)
}

func (b *bed) data() string { return filepath.Join(b.dir, "data") }

// age writes to etcd.
func (b *bed) age(ctx context.Context) error {
	etcd, err := clustertest.Dial(b.etcd.Endpoints()[0])
	if err != nil {
		return err
	}
	for range history {
		if err := etcd.Put(ctx, "/history", ""); err != nil {
			return errors.Join(err, etcd.Close())
		}
	}
	return etcd.Close()
}

// subscribeOne runs the cluster for as long as it takes to subscribe the user that all
// others are like. The mail store is gone afterwards.
func (b *bed) subscribeOne(ctx context.Context) (err error) {
	store, err := imaptest.NewMany(imaptest.ManyOptions{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	receiver, err := rig.NewReceiver()
	if err != nil {
		return err
	}
	defer receiver.Close()
	ca := filepath.Join(b.dir, "imap-ca.crt")
	if err := os.WriteFile(ca, store.CA(), 0o600); err != nil {
		return err
	}
	b.mailpush, err = rig.New(ctx, rig.Options{
		Dir: b.data(), Programs: b.programs, Etcd: b.etcd.Endpoints(),
		Store:    rig.Store{Address: store.Addr(), CAFile: ca},
		Services: services(),
		Set:      []string{fmt.Sprintf("worker.capacity=%d", b.users)},
	})
	if err != nil {
		return err
	}
	if err := b.startWorkers(); err != nil {
		return err
	}
	if err := b.mailpush.Await(ctx, "a subscription", func(ctx context.Context) error {
		return b.mailpush.Subscribe(ctx, rig.Box(first), receiver.URL())
	}); err != nil {
		return err
	}
	if err := b.mailpush.AwaitIdle(ctx, 1); err != nil {
		return err
	}
	return b.stop()
}

func (b *bed) startWorkers() error {
	for n, ops := range b.ops {
		worker, err := proctest.Start(b.mailpush.Command(identity.Worker, fmt.Sprintf("worker-%d", n+1), "worker.opsListen="+ops))
		if err != nil {
			return err
		}
		b.workers = append(b.workers, worker)
	}
	return nil
}

// took is how long a start took, and the processor time of all processes until then.
type took struct{ wall, cpu time.Duration }

func (t took) String() string {
	return fmt.Sprintf("%.1f s, and %.1f s of processor time", t.wall.Seconds(), t.cpu.Seconds())
}

// start starts all processes of the cluster, takes the time until all listeners are known,
// and stops them.
func (b *bed) start(ctx context.Context) (took, error) {
	began := time.Now()
	if err := b.mailpush.Start(); err != nil {
		return took{}, err
	}
	if err := b.startWorkers(); err != nil {
		return took{}, err
	}
	if err := b.awaitKnown(ctx, began); err != nil {
		return took{}, err
	}
	t := took{wall: time.Since(began), cpu: b.cpu()}
	return t, b.stop()
}

// awaitKnown waits until the workers know all listeners. To be asked costs a worker something,
// too, so that they are not asked often.
func (b *bed) awaitKnown(ctx context.Context, began time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(look)
	defer tick.Stop()
	for rounds := 1; ; rounds++ {
		known := b.known(ctx)
		if known == b.users {
			return nil
		}
		if rounds%tellEvery == 0 {
			fmt.Fprintf(b.out, "  %4.1f s: %d\n", time.Since(began).Seconds(), known)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%d of %d listeners are known after %v: %w", known, b.users, time.Since(began), ctx.Err())
		}
	}
}

// cpu is the processor time that all processes have used.
func (b *bed) cpu() time.Duration {
	var sum time.Duration
	for _, worker := range b.workers {
		sum += worker.GroupCPU()
	}
	for _, service := range services() {
		sum += b.mailpush.Process(service).GroupCPU()
	}
	return sum
}

// services are those of which there is one.
func services() []string { return []string{identity.Admin, identity.Vault, identity.Scheduler} }

// known counts the listeners of all workers, whatever they do. A worker that does not
// answer yet has none.
func (b *bed) known(ctx context.Context) int {
	sum := 0.0
	for _, ops := range b.ops {
		if n, err := rig.Metric(ctx, ops, "mailpush_worker_listeners"); err == nil {
			sum += n
		}
	}
	return int(sum)
}

// stop stops all processes.
func (b *bed) stop() error {
	var err error
	for _, worker := range b.workers {
		err = errors.Join(err, worker.Stop())
	}
	b.workers = nil
	return errors.Join(err, b.mailpush.Halt())
}

// close stops everything.
func (b *bed) close() error {
	var err error
	for _, worker := range b.workers {
		err = errors.Join(err, worker.Stop())
	}
	if b.mailpush != nil {
		err = errors.Join(err, b.mailpush.Close())
	}
	if b.etcd != nil {
		b.etcd.Close()
	}
	return err
}
