// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"mailpush.internal/pkg/identity"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/trials/internal/rig"
)

const (
	// crowdTimeout is how long the crowd may take to be registered.
	crowdTimeout = 30 * time.Minute
	// asSoonAsPossible is a pace of asking that nothing here reaches.
	asSoonAsPossible = "10000"
	// reconcileFor is how long the asking is counted.
	reconcileFor = 15 * time.Second

	waitingListeners = `mailpush_worker_listeners{state="waiting"}`
	reconciled       = "mailpush_worker_reconciled_total"
)

// crowd is what many mailboxes cost that wait for their Dovecot to tell of mail.
type crowd struct {
	mailboxes     int
	bytes, fds    float64 // of the worker for each of the second half
	subscribed    float64 // in a second, registering each at its Dovecot
	reconciledPer float64 // in a second, as fast as it goes
}

// gather registers the mailboxes, and weighs the second half of them.
func (t *track) gather(ctx context.Context, o options) error {
	ctx, cancel := context.WithTimeout(ctx, crowdTimeout)
	defer cancel()
	half := kind{
		name: "crowd", store: "bench", content: mailv1.Content_CONTENT_ENVELOPE,
		state: mailv1.ListenerState_LISTENER_STATE_WAITING, share: 2,
	}
	other := half
	other.name = "other"
	o.mailboxes = o.crowd
	t.crowd = crowd{mailboxes: o.crowd}
	began := time.Now()
	if err := t.subscribeAll(ctx, half, o); err != nil {
		return err
	}
	bytes, files, err := t.weigh(ctx)
	if err != nil {
		return err
	}
	second := time.Now()
	if err := t.subscribeAll(ctx, other, o); err != nil {
		return err
	}
	t.crowd.subscribed = float64(other.mailboxes(o)) / time.Since(second).Seconds()
	allBytes, allFiles, err := t.weigh(ctx)
	if err != nil {
		return err
	}
	n := float64(other.mailboxes(o))
	t.crowd.bytes, t.crowd.fds = float64(allBytes-bytes)/n, float64(allFiles-files)/n
	fmt.Fprintf(os.Stderr, "bench-dovecot: %d mailboxes after %s\n", o.crowd, time.Since(began).Round(time.Second))
	return t.reconcile(ctx)
}

// subscribeAll returns when the worker waits for the mail of all of them.
func (t *track) subscribeAll(ctx context.Context, k kind, o options) error {
	before, err := rig.Metric(ctx, t.mailpush.WorkerOps(), waitingListeners)
	if err != nil {
		return err
	}
	if err := t.subscribeEach(ctx, k, o); err != nil {
		return err
	}
	return t.awaitWaiting(ctx, before+float64(k.mailboxes(o)))
}

// awaitWaiting waits until so many listeners of the worker wait for mail.
func (t *track) awaitWaiting(ctx context.Context, want float64) error {
	return t.mailpush.Process(identity.Worker).Await(ctx, "the listeners", func(ctx context.Context) error {
		now, err := rig.Metric(ctx, t.mailpush.WorkerOps(), waitingListeners)
		if err == nil && now < want {
			err = fmt.Errorf("%.0f of %.0f wait for mail", now, want)
		}
		return err
	})
}

// weigh is what the worker holds: memory and open files.
func (t *track) weigh(ctx context.Context) (bytes int64, files int, err error) {
	worker := t.mailpush.Process(identity.Worker)
	if bytes, err = rig.Resident(ctx, worker); err != nil {
		return 0, 0, err
	}
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", worker.Pid()))
	return bytes, len(open), err
}

// reconcile has the worker ask for the ends of all mailboxes, one after the other and as
// fast as Dovecot answers, and counts them.
func (t *track) reconcile(ctx context.Context) error {
	err := t.mailpush.Configure(func(text string) string {
		return strings.ReplaceAll(text, "backend: dovecot", "backend: dovecot, reconcilePerSecond: "+asSoonAsPossible)
	})
	if err != nil {
		return err
	}
	for _, service := range []string{identity.Admin, identity.Worker} { // the store's settings come with its users
		if err := t.mailpush.Restart(ctx, service); err != nil {
			return err
		}
	}
	if err := t.awaitWaiting(ctx, float64(t.crowd.mailboxes)); err != nil {
		return err
	}
	before, err := rig.Metric(ctx, t.mailpush.WorkerOps(), reconciled)
	if err != nil {
		return err
	}
	if err := rig.Pause(ctx, reconcileFor); err != nil {
		return err
	}
	after, err := rig.Metric(ctx, t.mailpush.WorkerOps(), reconciled)
	t.crowd.reconciledPer = (after - before) / reconcileFor.Seconds()
	return err
}

func (c crowd) report(w io.Writer) error {
	fmt.Fprintf(w, "\n%d mailboxes registered, %.0f a second; the worker's memory and files for each of the second half; ends asked for\n", c.mailboxes, c.subscribed)
	_, err := fmt.Fprintf(w, "result: dovecot_bytes_per_listener=%.0f\nresult: dovecot_fds_per_listener=%.3f\nresult: reconcile_users_per_s=%.0f\n",
		c.bytes, c.fds, c.reconciledPer)
	return err
}
