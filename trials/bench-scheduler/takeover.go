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
	"syscall"
	"time"

	"connectrpc.com/connect"

	"mailpush.internal/pkg/identity"
	"mailpush.internal/pkg/imaptest"
	"mailpush.internal/pkg/proctest"
	adminv1 "mailpush.internal/proto/gen/mailpush/admin/v1"
	"mailpush.internal/trials/internal/rig"
)

const (
	shards = 256
	// look is how often the mail store's counts are read: the resolution of all times.
	look = time.Millisecond
	// patience is when a worker counts as never replaced, and the benchmark as failed.
	patience = time.Minute
	// mailEvery is the pause between two mails while a worker stops, and mailInDark the one
	// while the first listeners are dark: some arrive in every phase of the hand-over.
	mailEvery  = 200 * time.Millisecond
	mailInDark = 20 * time.Millisecond
)

// way is how workers run that are lost.
type way struct {
	ttl        time.Duration
	supervised bool // each is the child of a supervisor
}

func (w way) String() string {
	if w.supervised {
		return fmt.Sprintf("lease %s, supervised", w.ttl)
	}
	return fmt.Sprintf("lease %s", w.ttl)
}

// takeovers are the times of the worker losses in one way.
type takeovers struct {
	way

	first, last []time.Duration // kill -9 -> first, and last, listener in IDLE at its new owner
	stopped     []time.Duration // SIGTERM: first connection gone -> all in IDLE at their new owner

	pushes, lost, doubled int // of the mail that arrived in the course of the stops
}

// bed is two workers, as processes, that share the mailboxes of one mail store.
type bed struct {
	way

	programs  rig.Programs
	mailpush  *rig.Mailpush
	store     *imaptest.Many
	receiver  *rig.Receiver
	workers   []*proctest.Process
	listeners int
	started   int // workers, ever
}

func measureTakeover(ctx context.Context, stdout io.Writer, programs rig.Programs, way way, kills, listeners int) (_ takeovers, err error) {
	b, closeBed, err := newBed(ctx, programs, way, listeners)
	if err != nil {
		return takeovers{}, err
	}
	defer func() { err = errors.Join(err, closeBed()) }()
	t := takeovers{way: way}
	for n := range kills {
		if err := b.replace(ctx, func(victim *proctest.Process) error { return b.kill(ctx, victim, &t) }); err != nil {
			return t, fmt.Errorf("kill %d: %w", n+1, err)
		}
		if way.supervised { // its end in order is that of the others
			fmt.Fprintf(stdout, "  %2d of %d: kill -9 %.3f s\n", n+1, kills, t.first[n].Seconds())
			continue
		}
		mails := span{}
		if err := b.replace(ctx, func(victim *proctest.Process) (err error) {
			mails, err = b.stop(ctx, victim, &t)
			return err
		}); err != nil {
			return t, fmt.Errorf("stop %d: %w", n+1, err)
		}
		if err := b.count(ctx, mails, &t); err != nil {
			return t, err
		}
		fmt.Fprintf(stdout, "  %2d of %d: kill -9 %.2f s, SIGTERM %.3f s\n", n+1, kills, t.first[n].Seconds(), t.stopped[n].Seconds())
	}
	return t, nil
}

// newBed starts everything and waits until both workers have their half.
func newBed(ctx context.Context, programs rig.Programs, way way, listeners int) (*bed, func() error, error) {
	dir, err := os.MkdirTemp("", "mailpush-bench-")
	if err != nil {
		return nil, nil, err
	}
	b := &bed{way: way, programs: programs, listeners: listeners}
	closeBed := func() error {
		var err error
		for _, worker := range b.workers {
			err = errors.Join(err, worker.Stop())
		}
		if b.mailpush != nil {
			err = errors.Join(err, b.mailpush.Close())
		}
		if b.store != nil {
			err = errors.Join(err, b.store.Close())
		}
		if b.receiver != nil {
			b.receiver.Close()
		}
		return errors.Join(err, os.RemoveAll(dir))
	}
	if err := b.start(ctx, dir); err != nil {
		return nil, nil, errors.Join(err, closeBed())
	}
	return b, closeBed, nil
}

func (b *bed) start(ctx context.Context, dir string) error {
	var err error
	if b.store, err = imaptest.NewMany(imaptest.ManyOptions{}); err != nil {
		return err
	}
	if b.receiver, err = rig.NewReceiver(); err != nil {
		return err
	}
	ca := filepath.Join(dir, "imap-ca.crt")
	if err := os.WriteFile(ca, b.store.CA(), 0o600); err != nil {
		return err
	}
	b.mailpush, err = rig.New(ctx, rig.Options{
		Dir:      filepath.Join(dir, "data"),
		Programs: b.programs,
		Store:    rig.Store{Address: b.store.Addr(), CAFile: ca},
		Services: []string{identity.Admin, identity.Vault, identity.Scheduler},
		Set:      []string{"cluster.leaseTTL=" + b.ttl.String(), fmt.Sprintf("cluster.shards=%d", shards)},
	})
	if err != nil {
		return err
	}
	for range 2 {
		if err := b.addWorker(); err != nil {
			return err
		}
	}
	for n := range b.listeners {
		// The first waits until a worker is known to all.
		if err := b.mailpush.Await(ctx, "a subscription", func(ctx context.Context) error {
			return b.mailpush.Subscribe(ctx, rig.Box(n), b.receiver.URL())
		}); err != nil {
			return err
		}
	}
	return b.settled(ctx)
}

func (b *bed) addWorker() error {
	b.started++
	start := b.mailpush.StartWorker
	if b.supervised {
		start = b.mailpush.StartSupervisedWorker
	}
	worker, err := start(fmt.Sprintf("worker-%d", b.started))
	if err == nil {
		b.workers = append(b.workers, worker)
	}
	return err
}

// replace loses the older worker in the given way, and starts another in its place.
func (b *bed) replace(ctx context.Context, lose func(*proctest.Process) error) error {
	victim := b.workers[0]
	b.workers = b.workers[1:]
	if err := lose(victim); err != nil {
		return err
	}
	if err := b.addWorker(); err != nil {
		return err
	}
	return b.settled(ctx)
}

// settled waits until two workers share the shards, by listeners evenly, and all listeners
// are in IDLE.
func (b *bed) settled(ctx context.Context) error {
	return b.mailpush.Await(ctx, "two even workers", func(ctx context.Context) error {
		answer, err := b.mailpush.Admin.ListWorkers(ctx, connect.NewRequest(&adminv1.ListWorkersRequest{}))
		if err != nil {
			return err
		}
		workers, held := answer.Msg.GetWorkers(), uint32(0)
		for _, worker := range workers {
			if worker.GetShards() < shards/6 {
				return fmt.Errorf("%s has %d of %d shards", worker.GetId(), worker.GetShards(), shards)
			}
			held += worker.GetShards()
		}
		if idle := b.store.Idle(); len(workers) != 2 || held != shards || idle != b.listeners {
			return fmt.Errorf("%d workers, %d shards, %d idle", len(workers), held, idle)
		}
		return nil
	})
}

// kill kills a worker, of a supervised one the process that works: its parent starts another
// one at once, which may take listeners over like any other, and is stopped in the end.
func (b *bed) kill(ctx context.Context, victim *proctest.Process, t *takeovers) error {
	_, before := b.store.Seen()
	start := time.Now()
	if b.supervised {
		victim.EndMembers(identity.Worker, syscall.SIGKILL)
	} else {
		victim.Kill()
	}
	if err := b.until(ctx, func(_, arrived int) bool { return arrived > before }); err != nil {
		return err
	}
	t.first = append(t.first, time.Since(start))
	if err := b.until(ctx, func(served, _ int) bool { return served == b.listeners }); err != nil {
		return err
	}
	t.last = append(t.last, time.Since(start))
	if b.supervised {
		return victim.Stop()
	}
	return nil
}

// stop ends a worker in order and takes the time from the first listener that went
// dark until none was any more, over all batches of the hand-over. Mail arrives in all
// mailboxes meanwhile.
func (b *bed) stop(ctx context.Context, victim *proctest.Process, t *takeovers) (_ span, err error) {
	var failed error
	ended := make(chan struct{})
	go func() { defer close(ended); failed = victim.Stop() }()
	defer func() { <-ended; err = errors.Join(err, failed) }()
	var first, last, mailed time.Time
	mails := span{oldest: b.store.Deliver()}
	if err := b.until(ctx, func(served, _ int) bool {
		now, pause := time.Now(), mailEvery
		if served < b.listeners && (first.IsZero() || now.Sub(first) < mailEvery) {
			pause = mailInDark
		}
		if now.Sub(mailed) >= pause {
			mails.newest, mailed = b.store.Deliver(), now
		}
		if served < b.listeners {
			last = now
			if first.IsZero() {
				first = now
			}
			return false
		}
		select {
		case <-ended:
			return true
		default:
			return false
		}
	}); err != nil {
		return span{}, err
	}
	t.stopped = append(t.stopped, last.Sub(first)+look)
	return mails, nil
}

// span is the UIDs of some mails in a row.
type span struct{ oldest, newest uint32 }

// count waits until all mails of a stop are pushed, and counts how often.
func (b *bed) count(ctx context.Context, mails span, t *takeovers) error {
	missing := func() int { return b.receiver.Missing(b.listeners, mails.oldest, mails.newest) }
	if err := b.until(ctx, func(int, int) bool { return missing() == 0 }); err != nil && ctx.Err() != nil {
		return err
	}
	t.pushes += int(mails.newest-mails.oldest+1) * b.listeners
	t.lost += missing()
	t.doubled += b.receiver.Doubled(mails.oldest, mails.newest)
	return nil
}

// until watches the listeners at the mail store.
func (b *bed) until(ctx context.Context, reached func(served, arrived int) bool) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(look)
	defer tick.Stop()
	for !reached(b.store.Seen()) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%d of %d listeners are in IDLE after %s: %w", b.store.Idle(), b.listeners, patience, ctx.Err())
		}
	}
	return nil
}
