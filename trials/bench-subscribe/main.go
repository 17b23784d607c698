// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Command bench-subscribe measures how many users a second can be subscribed: one call each,
// 32 at once, with the registry and the vault on SQLite and on PostgreSQL, and in pages of
// SubscribeMany. Everything on the way is real: the services are processes, a worker logs in
// at a mail store over TLS, and listens from then on. Invariant: what is counted is
// subscribed with a permanent listener, and all are in IDLE in the end.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"mailpush.internal/pkg/sqltest"
	"mailpush.internal/trials/internal/rig"
)

const (
	// atOnce is how many calls of Subscribe are under way.
	atOnce = 32
	// pagesAtOnce is how many calls of SubscribeMany are, with the most rows that one takes.
	pagesAtOnce, pageRows = 2, 500
	// connects is how many connections a second the mail store is said to take.
	connects = 500
	// patience is when listeners count as never to be in IDLE.
	patience = 5 * time.Minute
)

// plan is what is measured.
type plan struct {
	singles, bulk int
	engine        string
	revision      string
}

func main() {
	if code, played := rig.Role(os.Args, os.Stdout, os.Stderr); played {
		os.Exit(code)
	}
	var p plan
	flag.IntVar(&p.singles, "singles", 2000, "users to subscribe by a call each, on each database")
	flag.IntVar(&p.bulk, "bulk", 10_000, "users to subscribe in pages, on SQLite")
	flag.StringVar(&p.engine, "only", "", "measure only this of sqlite, postgres")
	flag.StringVar(&p.revision, "revision", "", "measure the programs of this revision, as they are without it of the tree at hand; pages are left out")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	err := bench(ctx, os.Stdout, p)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-subscribe:", err)
		os.Exit(1)
	}
}

func bench(ctx context.Context, stdout io.Writer, p plan) (err error) {
	dir, err := os.MkdirTemp("", "mailpush-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	programs, err := build(ctx, dir, p.revision)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "bench-subscribe: %d cores, %s; %d users by a call each, %d at once\n", runtime.NumCPU(), runtime.Version(), p.singles, atOnce)
	if p.engine != "postgres" {
		if err := onSQLite(ctx, stdout, dir, programs, p); err != nil {
			return fmt.Errorf("measuring on SQLite: %w", err)
		}
	}
	if p.engine != "sqlite" {
		if err := onPostgres(ctx, stdout, dir, programs, p); err != nil {
			return fmt.Errorf("measuring on PostgreSQL: %w", err)
		}
	}
	return nil
}

// build builds what is measured.
func build(ctx context.Context, dir, revision string) (rig.Programs, error) {
	if revision == "" {
		return rig.Build(ctx, dir)
	}
	return rig.BuildRevision(ctx, dir, revision)
}

func onSQLite(ctx context.Context, stdout io.Writer, dir string, programs rig.Programs, p plan) (err error) {
	t, err := newTrack(ctx, filepath.Join(dir, "sqlite"), programs)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.close()) }()
	rate, err := t.singly(ctx, p.singles)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "result: subscribes_per_s_sqlite=%.0f\n", rate)
	if p.revision != "" {
		return nil
	}
	if rate, err = t.inPages(ctx, p.bulk); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "result: subscribes_per_s_bulk=%.0f\n", rate)
	begun := time.Now()
	if err := t.awaitIdle(ctx); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "  all %d are in IDLE %.1f s later\n", t.subscribed, time.Since(begun).Seconds())
	return nil
}

func onPostgres(ctx context.Context, stdout io.Writer, dir string, programs rig.Programs, p plan) (err error) {
	server, err := sqltest.NewPostgres("")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	var set []string
	for _, service := range []string{"admin", "vault"} {
		address, _, err := server.NewDatabase(ctx)
		if err != nil {
			return err
		}
		set = append(set, service+".database="+address.Reveal())
	}
	t, err := newTrack(ctx, filepath.Join(dir, "postgres"), programs, set...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.close()) }()
	rate, err := t.singly(ctx, p.singles)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "result: subscribes_per_s_postgres=%.0f\n", rate)
	return t.awaitIdle(ctx)
}

// track is everything that runs.
type track struct {
	double     *rig.Double
	receiver   *rig.Receiver
	mailpush   *rig.Mailpush
	subscribed int
}

func newTrack(ctx context.Context, dir string, programs rig.Programs, set ...string) (t *track, err error) {
	t = &track{}
	defer func() {
		if err != nil {
			err = errors.Join(err, t.close())
		}
	}()
	if err := os.Mkdir(dir, 0o700); err != nil {
		return t, err
	}
	if t.double, err = rig.StartDouble(ctx, dir); err != nil {
		return t, err
	}
	if err := t.double.GiveTickets(true); err != nil {
		return t, err
	}
	if t.receiver, err = rig.NewReceiver(); err != nil {
		return t, err
	}
	store := t.double.Store
	store.ConnectsPerSecond = connects
	t.mailpush, err = rig.New(ctx, rig.Options{Dir: filepath.Join(dir, "data"), Programs: programs, Store: store, Set: set})
	if err != nil {
		return t, err
	}
	// The first waits until the worker is known to all.
	return t, t.mailpush.Await(ctx, "a subscription", t.next)
}

func (t *track) close() error {
	var err error
	if t.mailpush != nil {
		err = t.mailpush.Close()
	}
	if t.receiver != nil {
		t.receiver.Close()
	}
	if t.double != nil {
		err = errors.Join(err, t.double.Close())
	}
	return err
}

// next subscribes the next user.
func (t *track) next(ctx context.Context) error {
	err := t.mailpush.Subscribe(ctx, rig.Box(t.subscribed), t.receiver.URL())
	if err == nil {
		t.subscribed++
	}
	return err
}

// singly subscribes n users by a call each, and returns how many a second.
func (t *track) singly(ctx context.Context, n int) (rate float64, err error) {
	calls, within := errgroup.WithContext(ctx)
	var taken atomic.Int64
	begun := time.Now()
	for range atOnce {
		calls.Go(func() error {
			for {
				i := int(taken.Add(1)) - 1
				if i >= n {
					return nil
				}
				if err := t.mailpush.Subscribe(within, rig.Box(t.subscribed+i), t.receiver.URL()); err != nil {
					return err
				}
			}
		})
	}
	if err := calls.Wait(); err != nil {
		return 0, err
	}
	rate = float64(n) / time.Since(begun).Seconds()
	t.subscribed += n
	return rate, nil
}

// inPages subscribes n users by pages.
func (t *track) inPages(ctx context.Context, n int) (rate float64, err error) {
	calls, within := errgroup.WithContext(ctx)
	calls.SetLimit(pagesAtOnce)
	begun := time.Now()
	for first := 0; first < n; first += pageRows {
		calls.Go(func() error {
			var boxes []string
			for i := first; i < min(first+pageRows, n); i++ {
				boxes = append(boxes, rig.Box(t.subscribed+i))
			}
			return t.mailpush.SubscribeMany(within, boxes, t.receiver.URL())
		})
	}
	if err := calls.Wait(); err != nil {
		return 0, err
	}
	rate = float64(n) / time.Since(begun).Seconds()
	t.subscribed += n
	return rate, nil
}

// awaitIdle waits until all that are subscribed are in IDLE at the mail store.
func (t *track) awaitIdle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		counts, err := t.double.Counts()
		if err != nil || counts.Idle == t.subscribed {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%d of %d are in IDLE: %w", counts.Idle, t.subscribed, ctx.Err())
		}
	}
}
