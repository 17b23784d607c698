// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package field does to a running mailpush what endpoints, applications and mail stores do
// in the field: an origin goes and comes back, a proxy answers 404 while it deploys, a
// receiver has a wrong secret, a mail store is away for minutes, an old password is shown.
// It counts what is lost by that, and how long whoever has nothing to do with it must wait.
// Two tenants share each origin.
//
// Invariant: what is lost is counted from outside, by what endpoints took in and by what
// the public API shows. An error is about the trial; what came of it is in its result.
package field

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"mailpush.internal/pkg/dovecottest"
	"mailpush.internal/pkg/imaptest"
	"mailpush.internal/pkg/proctest"
	"mailpush.internal/trials/internal/rig"
)

const (
	// dovecotStore is the real Dovecot; the mail store of the rig is a double.
	dovecotStore = "dovecot"
	// The tenants at each origin: the one is told of in the results, the other is beside it.
	ours, others = "1", "2"
	// settle is how long something may take that nothing hinders, on a busy machine.
	settle    = time.Minute
	pollEvery = 200 * time.Millisecond
)

// Options say what runs. Dir and Programs must be set.
type Options struct {
	Dir      string
	Programs rig.Programs
	Out      io.Writer // is told what is done; must be set
	// ConnectsPerSecond is what Dovecot is said to take; 0: the default.
	ConnectsPerSecond int
}

// World is a mailpush of five processes, two of them workers, with a mail store in which
// every login works and a real Dovecot. Its trials may run side by side, but for
// StoreReturn and LoginsLost, which each need it alone.
type World struct {
	Options

	began      time.Time
	mailpush   *rig.Mailpush
	store      *imaptest.Many
	dovecotDir string
	dovecot    *dovecottest.Server

	atDovecot int     // listeners of StoreReturn
	sink      *origin // of their pushes; nil before there are any

	mu      sync.Mutex
	worker  *proctest.Process // the second one
	started int               // second workers, ever
	groups  []*group          // that trials are over with
	told    sync.Mutex        // one line at a time
}

// New starts everything. The caller calls Close.
func New(ctx context.Context, o Options) (*World, error) {
	w := &World{Options: o, began: time.Now()}
	if err := w.start(ctx); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return w, nil
}

func (w *World) start(ctx context.Context) (err error) {
	if w.store, err = imaptest.NewMany(imaptest.ManyOptions{}); err != nil {
		return err
	}
	ca := filepath.Join(w.Dir, "imap-ca.crt")
	if err := os.WriteFile(ca, w.store.CA(), 0o600); err != nil {
		return err
	}
	if w.dovecotDir, err = os.MkdirTemp("", "dovecot-"); err != nil { // its users must be able to pass through
		return err
	}
	if w.dovecot, err = dovecottest.New(w.dovecotDir); err != nil {
		return err
	}
	w.mailpush, err = rig.New(ctx, rig.Options{
		Dir: filepath.Join(w.Dir, "data"), Programs: w.Programs, Store: rig.Store{Address: w.store.Addr(), CAFile: ca},
		Others: map[string]rig.Store{dovecotStore: {Address: w.dovecot.Addr(), ConnectsPerSecond: w.ConnectsPerSecond}},
		Set:    []string{"log.level=info"},
	})
	if err != nil {
		return err
	}
	return w.startWorker()
}

// remember keeps a group that a trial is over with.
func (w *World) remember(g *group) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.groups = append(w.groups, g)
}

// tried are the groups that trials are over with.
func (w *World) tried() []*group {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.groups)
}

// startWorker starts the second worker, which takes its share of the mailboxes.
func (w *World) startWorker() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.started++
	var err error
	w.worker, err = w.mailpush.StartWorker(fmt.Sprintf("worker-%d", w.started+1))
	return err
}

// Close ends everything, in any state.
func (w *World) Close() error {
	var errs []error
	if w.worker != nil {
		errs = append(errs, w.worker.Stop())
	}
	if w.mailpush != nil {
		errs = append(errs, w.mailpush.Close())
	}
	if w.sink != nil {
		w.sink.goAway()
	}
	if w.store != nil {
		errs = append(errs, w.store.Close())
	}
	if w.dovecot != nil {
		errs = append(errs, w.dovecot.Stop())
	}
	if w.dovecotDir != "" {
		errs = append(errs, os.RemoveAll(w.dovecotDir))
	}
	return errors.Join(errs...)
}

// tell tells what is done.
func (w *World) tell(format string, args ...any) {
	w.told.Lock()
	defer w.told.Unlock()
	fmt.Fprintf(w.Out, "  %5.1f s: %s\n", time.Since(w.began).Seconds(), fmt.Sprintf(format, args...))
}

// await repeats check until it returns nil, for so long at most.
func await(ctx context.Context, what string, within time.Duration, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	return proctest.Await(ctx, what, paced(check))
}

// paced has a check that costs those who are looked at take its time.
func paced(check func(context.Context) error) func(context.Context) error {
	var last time.Time
	var err error
	return func(ctx context.Context) error {
		if time.Since(last) < pollEvery {
			return err
		}
		last, err = time.Now(), check(ctx)
		return err
	}
}
