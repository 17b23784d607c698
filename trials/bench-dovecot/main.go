// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Command bench-dovecot measures how long a mail takes to become a push through a real
// Dovecot that tells of it: with the event of the notification, with a read by doveadm for
// each mail, and beside both in IDLE, at the same rate and on the same machine. It measures
// what announcing costs the sender and Dovecot, too, and what 20,000 mailboxes cost a worker
// that waits for their mail. It prints tables and machine-readable result lines.
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
	"syscall"

	"golang.org/x/sync/errgroup"

	"mailpush.internal/pkg/dovecottest"
	"mailpush.internal/pkg/proctest"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/trials/internal/rig"
)

const (
	idleStore = "idle" // the same Dovecot, with the backend imapidle
	// subscribers is how many subscribe at once.
	subscribers = 8
)

// options are what is measured.
type options struct {
	mails, mailboxes, rate, crowd int
}

func main() {
	var o options
	flag.IntVar(&o.mails, "mails", 4000, "mails of each kind")
	flag.IntVar(&o.mailboxes, "mailboxes", 1000, "mailboxes of each kind; in IDLE a tenth")
	flag.IntVar(&o.rate, "rate", 200, "mails a second")
	flag.IntVar(&o.crowd, "crowd", 20000, "mailboxes to register for memory and reconciling; 0 leaves them out")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	err := bench(ctx, os.Stdout, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-dovecot:", err)
		os.Exit(1)
	}
}

func bench(ctx context.Context, stdout io.Writer, o options) (err error) {
	dir, err := os.MkdirTemp("", "mailpush-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	programs, err := rig.Build(ctx, dir)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "bench-dovecot: %d cores, %s; %d mailboxes, %d mails a second\n", runtime.NumCPU(), runtime.Version(), o.mailboxes, o.rate)
	t, err := newTrack(ctx, dir, programs)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.close()) }()
	for _, k := range kinds() {
		if err := t.subscribe(ctx, k, o); err != nil {
			return err
		}
	}
	for _, k := range kinds() {
		if err := t.run(ctx, k, o); err != nil {
			return fmt.Errorf("measuring %s: %w", k.name, err)
		}
	}
	if err := t.report(stdout); err != nil || o.crowd == 0 {
		return err
	}
	if err := t.gather(ctx, o); err != nil {
		return fmt.Errorf("measuring many mailboxes: %w", err)
	}
	return t.crowd.report(stdout)
}

// track is everything that runs.
type track struct {
	dovecotDir string
	dovecot    *dovecottest.Server
	arrivals   *arrivals
	mailpush   *rig.Mailpush
	results    map[string]*result
	crowd      crowd
}

func newTrack(ctx context.Context, dir string, programs rig.Programs) (t *track, err error) {
	t = &track{results: make(map[string]*result)}
	defer func() {
		if err != nil {
			err = errors.Join(err, t.close())
		}
	}()
	free, err := proctest.FreeAddresses(ctx, "127.0.0.2", 1)
	if err != nil {
		return t, err
	}
	if t.dovecotDir, err = os.MkdirTemp("", "dovecot-"); err != nil { // its users must be able to pass through
		return t, err
	}
	t.dovecot, err = dovecottest.NewWith(t.dovecotDir, dovecottest.Options{
		NotifyURL: "http://dovecot:" + rig.Password + "@" + free[0] + "/preliminary/http-notify/v1/notify",
	})
	if err != nil {
		return t, err
	}
	if t.arrivals, err = newArrivals(); err != nil {
		return t, err
	}
	key := filepath.Join(dir, "doveadm.key")
	if err := os.WriteFile(key, []byte(t.dovecot.DoveadmKey().Reveal()+"\n"), 0o600); err != nil {
		return t, err
	}
	t.mailpush, err = rig.New(ctx, rig.Options{
		Dir: filepath.Join(dir, "data"), Programs: programs,
		Store:  rig.Store{Backend: "dovecot", DoveadmURL: t.dovecot.DoveadmURL(), DoveadmKeyFile: key},
		Others: map[string]rig.Store{idleStore: {Address: t.dovecot.Addr()}},
		Set: []string{
			"worker.backends=[imapidle, dovecot]", "worker.notify.listen=" + free[0],
			"worker.notify.username=dovecot", "worker.notify.password=" + rig.Password,
		},
	})
	return t, err
}

func (t *track) close() error {
	var errs []error
	if t.mailpush != nil {
		errs = append(errs, t.mailpush.Close())
	}
	if t.arrivals != nil {
		t.arrivals.Close()
	}
	if t.dovecot != nil {
		errs = append(errs, t.dovecot.Stop())
	}
	if t.dovecotDir != "" {
		errs = append(errs, os.RemoveAll(t.dovecotDir))
	}
	return errors.Join(errs...)
}

// subscribe makes the mailboxes of a kind, and has them listened to.
func (t *track) subscribe(ctx context.Context, k kind, o options) error {
	if err := t.subscribeEach(ctx, k, o); err != nil {
		return err
	}
	return t.await(ctx, k, o)
}

// subscribeEach returns when they are subscribed.
func (t *track) subscribeEach(ctx context.Context, k kind, o options) error {
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(subscribers)
	for i := range k.mailboxes(o) {
		if err := t.dovecot.AddUser(k.box(i), rig.Password); err != nil {
			return err
		}
		if k.state == mailv1.ListenerState_LISTENER_STATE_UNSPECIFIED {
			continue
		}
		subscribe := func(ctx context.Context) error {
			return t.mailpush.SubscribeTo(ctx, k.store, k.box(i), t.arrivals.URL(), k.content)
		}
		group.Go(func() error { // the worker may not be known to all yet, or Dovecot out of breath
			return t.mailpush.Await(within, "a subscription", subscribe)
		})
	}
	return group.Wait()
}

// await waits until the mailboxes of a kind, and of those before, are listened to.
func (t *track) await(ctx context.Context, k kind, o options) error {
	want := 0
	for _, other := range kinds() {
		if other.state == k.state {
			want += other.mailboxes(o)
		}
		if other.name == k.name {
			break
		}
	}
	if k.state == mailv1.ListenerState_LISTENER_STATE_UNSPECIFIED {
		return nil
	}
	return t.mailpush.AwaitState(ctx, k.state, want)
}
