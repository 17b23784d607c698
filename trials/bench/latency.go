// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"mailpush.internal/pkg/dovecottest"
	"mailpush.internal/pkg/identity"
	"mailpush.internal/pkg/proctest"
	"mailpush.internal/pkg/pushtest"
	"mailpush.internal/trials/internal/rig"
)

// pushTimeout is when a mail counts as lost, and the benchmark as failed.
const pushTimeout = time.Minute

// measureLatency delivers mails through a real Dovecot, one at a time per mailbox
// and all mailboxes side by side, and times each push.
func measureLatency(ctx context.Context, programs rig.Programs, mails, mailboxes int) (_ latencies, err error) {
	dir, err := os.MkdirTemp("", "mailpush-bench-")
	if err != nil {
		return latencies{}, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	// A directory of its own: Dovecot's users must be able to pass through it, and
	// through nothing else of ours.
	mailDir, err := os.MkdirTemp("", "mailpush-bench-dovecot-")
	if err != nil {
		return latencies{}, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(mailDir)) }()
	dovecot, err := dovecottest.New(mailDir)
	if err != nil {
		return latencies{}, err
	}
	defer func() { err = errors.Join(err, dovecot.Stop()) }()
	tapped, err := newTap(ctx, dovecot.Addr())
	if err != nil {
		return latencies{}, err
	}
	defer tapped.close()
	sink, err := pushtest.New(pushtest.Options{})
	if err != nil {
		return latencies{}, err
	}
	defer sink.Close()
	// The tap reads what passes, so this store speaks clear text on loopback.
	store := rig.Store{Address: tapped.listener.Addr().String()}
	mailpush, err := rig.New(ctx, rig.Options{
		Dir: filepath.Join(dir, "data"), Programs: programs, Store: store,
		Services: []string{identity.Vault, identity.Admin, identity.Scheduler},
	})
	if err != nil {
		return latencies{}, err
	}
	defer func() { err = errors.Join(err, mailpush.Close()) }()
	worker, err := mailpush.StartWorker("worker")
	if err != nil {
		return latencies{}, err
	}
	defer func() { err = errors.Join(err, worker.Stop()) }()

	for i := range mailboxes {
		if err := dovecot.AddUser(rig.Box(i), rig.Password); err != nil {
			return latencies{}, err
		}
		// The first waits until the worker is known to all.
		if err := mailpush.Await(ctx, "a subscription", func(ctx context.Context) error {
			return mailpush.Subscribe(ctx, rig.Box(i), sink.URL())
		}); err != nil {
			return latencies{}, err
		}
	}
	if err := mailpush.AwaitIdle(ctx, mailboxes); err != nil {
		return latencies{}, err
	}
	return course{dovecot, tapped, sink}.weigh(ctx, worker, mails, mailboxes)
}

// course is what a mail passes on its way.
type course struct {
	dovecot *dovecottest.Server
	tap     *tap
	sink    *pushtest.Receiver
}

// weigh delivers the mails and takes what they cost the worker.
func (c course) weigh(ctx context.Context, worker *proctest.Process, mails, mailboxes int) (latencies, error) {
	cpu, err := rig.CPU(worker)
	if err != nil {
		return latencies{}, err
	}
	said := c.tap.said.Load()
	all, err := c.deliverAll(ctx, mails, mailboxes)
	if err != nil {
		return latencies{}, err
	}
	after, err := rig.CPU(worker)
	all.cpu, all.bytes = after-cpu, c.tap.said.Load()-said
	return all, err
}

func (c course) deliverAll(ctx context.Context, mails, mailboxes int) (latencies, error) {
	results := make([]latencies, mailboxes)
	group, ctx := errgroup.WithContext(ctx)
	for i := range mailboxes {
		share := mails / mailboxes
		if i < mails%mailboxes {
			share++
		}
		group.Go(func() error {
			for n := range share {
				if err := c.deliverOne(ctx, rig.Box(i), n, &results[i]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return latencies{}, err
	}
	var all latencies
	for _, times := range results {
		all.fromDelivery = append(all.fromDelivery, times.fromDelivery...)
		all.fromExists = append(all.fromExists, times.fromExists...)
	}
	return all, nil
}

func (c course) deliverOne(ctx context.Context, box string, n int, into *latencies) error {
	mail := fmt.Sprintf("From: Bench <bench@example.org>\r\nTo: %s@example.org\r\nSubject: mail %d\r\n\r\nHello.\r\n", box, n)
	if err := c.dovecot.Deliver(box, []byte(mail)); err != nil {
		return err
	}
	delivered := time.Now()
	within, cancel := context.WithTimeout(ctx, pushTimeout)
	defer cancel()
	pushed, err := c.sink.Next(within, pushtest.To(box), pushtest.OfType(pushtest.TypeNewMail))
	if err != nil {
		return fmt.Errorf("mail %d of %s: %w", n, box, err)
	}
	into.fromDelivery = append(into.fromDelivery, pushed.At.Sub(delivered))
	into.fromExists = append(into.fromExists, pushed.At.Sub(c.tap.lastExists(box)))
	return nil
}
