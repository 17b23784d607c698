// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package crowd holds thousands of idle TLS listeners in one real worker process, against
// a mail store in another, to measure what they cost and whether they last.
//
// Invariant: all listeners are one worker's, and handshakes are full ones with a provider's
// chain of certificates, unless the mail store is told otherwise.
package crowd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"mailpush.internal/pkg/identity"
	"mailpush.internal/pkg/proctest"
	"mailpush.internal/trials/internal/rig"
)

const (
	// subscribers is how many users are subscribed side by side.
	subscribers = 8
	// told is how many subscriptions lie between two lines that tell of them.
	told = 3000
	// patience is when listeners count as never to be in IDLE.
	patience = 5 * time.Minute

	// restless is the mail store, the same one, where listeners are told to ask often.
	restless = "restless"
)

// Options say what a Crowd is. Programs and Out must be set.
type Options struct {
	Programs rig.Programs
	Out      io.Writer // is told how far it is

	ConnectsPerSecond int           // of the mail store; 0: the default
	Refresh           time.Duration // of IDLE, for SubscribeRestless
}

// Crowd is a running mailpush with one worker.
type Crowd struct {
	Double   *rig.Double
	Receiver *rig.Receiver
	Mailpush *rig.Mailpush
	Worker   *proctest.Process // holds the listeners

	out       io.Writer
	dir       string
	workers   int // started so far
	listeners int
}

// New starts everything, with no listener yet.
func New(ctx context.Context, o Options) (*Crowd, error) {
	dir, err := os.MkdirTemp(place(), "mailpush-crowd-")
	if err != nil {
		return nil, err
	}
	c := &Crowd{out: o.Out, dir: dir}
	if err := c.start(ctx, o); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func (c *Crowd) start(ctx context.Context, o Options) error {
	var err error
	if c.Double, err = rig.StartDouble(ctx, c.dir); err != nil {
		return err
	}
	if c.Receiver, err = rig.NewReceiver(); err != nil {
		return err
	}
	store := c.Double.Store
	store.ConnectsPerSecond = o.ConnectsPerSecond
	often := store
	often.IdleRefresh = o.Refresh
	c.Mailpush, err = rig.New(ctx, rig.Options{
		Dir: filepath.Join(c.dir, "data"), Programs: o.Programs, Store: store, Others: map[string]rig.Store{restless: often},
		Services: []string{identity.Admin, identity.Vault, identity.Scheduler},
	})
	if err != nil {
		return err
	}
	return c.StartWorker()
}

// StartWorker starts a worker, in the place of one that has ended.
func (c *Crowd) StartWorker() error {
	c.workers++
	var err error
	c.Worker, err = c.Mailpush.StartWorker(fmt.Sprintf("worker-%d", c.workers), "worker.opsListen="+c.Mailpush.WorkerOps())
	return err
}

// Close stops everything.
func (c *Crowd) Close() error {
	err := c.Stop()
	if c.Double != nil {
		err = errors.Join(err, c.Double.Close())
	}
	return errors.Join(err, os.RemoveAll(c.dir))
}

// Stop stops everything but the mail store.
func (c *Crowd) Stop() error {
	var err error
	if c.Worker != nil {
		err = c.Worker.Stop()
		c.Worker = nil
	}
	if c.Mailpush != nil {
		err = errors.Join(err, c.Mailpush.Close())
		c.Mailpush = nil
	}
	if c.Receiver != nil {
		c.Receiver.Close()
		c.Receiver = nil
	}
	return err
}

// Listeners is how many there are.
func (c *Crowd) Listeners() int { return c.listeners }

// Subscribe adds listeners until there are n, and returns when all of them are in IDLE.
func (c *Crowd) Subscribe(ctx context.Context, n int) error {
	return c.subscribe(ctx, n, c.Mailpush.Subscribe)
}

// SubscribeRestless does that with listeners that renew IDLE as often as the options say.
func (c *Crowd) SubscribeRestless(ctx context.Context, n int) error {
	return c.subscribe(ctx, n, func(ctx context.Context, box, url string) error {
		return c.Mailpush.SubscribeAt(ctx, restless, box, url)
	})
}

func (c *Crowd) subscribe(ctx context.Context, n int, one func(ctx context.Context, box, url string) error) error {
	for c.listeners < n {
		begun, upto := time.Now(), min(c.listeners+told, n)
		group, calls := errgroup.WithContext(ctx)
		group.SetLimit(subscribers)
		for i := c.listeners; i < upto; i++ {
			// The first waits until the worker is known to all.
			group.Go(func() error {
				return c.Mailpush.Await(calls, "a subscription", func(ctx context.Context) error {
					return one(ctx, rig.Box(i), c.Receiver.URL())
				})
			})
		}
		if err := group.Wait(); err != nil {
			return err
		}
		added := upto - c.listeners
		c.listeners = upto
		if err := c.AwaitIdle(ctx); err != nil {
			return err
		}
		fmt.Fprintf(c.out, "  %d listeners in IDLE, %.0f/s subscribed\n", upto, float64(added)/time.Since(begun).Seconds())
	}
	return nil
}

// AwaitIdle waits until all listeners are in IDLE at the mail store.
func (c *Crowd) AwaitIdle(ctx context.Context) error {
	return c.Await(ctx, "idle listeners", func(context.Context) error {
		counts, err := c.Double.Counts()
		if err == nil && (counts.Idle != c.listeners || counts.Served != c.listeners) {
			err = fmt.Errorf("%d of %d are in IDLE, %d connected", counts.Idle, c.listeners, counts.Served)
		}
		return err
	})
}

// Await repeats check until it returns nil, for as long as the worker runs.
func (c *Crowd) Await(ctx context.Context, what string, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return c.Worker.Await(ctx, what, check)
}

// AwaitPushes waits until so many events have been pushed, and all listeners are in IDLE
// again.
func (c *Crowd) AwaitPushes(ctx context.Context, events int) error {
	if err := c.Await(ctx, "pushes", func(context.Context) error {
		if pushed := c.Receiver.Events(); pushed < events {
			return fmt.Errorf("%d of %d came", pushed, events)
		}
		return nil
	}); err != nil {
		return err
	}
	return c.AwaitIdle(ctx)
}

// Goroutines is how many the worker has, by its metrics.
func (c *Crowd) Goroutines(ctx context.Context) (int, error) {
	n, err := rig.Metric(ctx, c.Mailpush.WorkerOps(), "go_goroutines")
	return int(n), err
}
