// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"mailpush.internal/pkg/identity"
	"mailpush.internal/pkg/proctest"
	"mailpush.internal/pkg/pushtest"
	"mailpush.internal/trials/internal/rig"
)

// subscribers is how many users are subscribed side by side.
const subscribers = 4

// measureMemory holds n idle TLS listeners in a worker that is a process of its
// own, against an IMAP double in another, and compares the worker's resident
// memory before and after.
func measureMemory(ctx context.Context, programs rig.Programs, n int) (_ memoryUse, err error) {
	dir, err := os.MkdirTemp("", "mailpush-bench-")
	if err != nil {
		return memoryUse{}, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	double, address, err := startDouble(ctx, filepath.Join(dir, "imap-ca.crt"))
	if err != nil {
		return memoryUse{}, err
	}
	defer func() { err = errors.Join(err, double.Stop()) }()
	endpoint, err := pushtest.New(pushtest.Options{Forget: true})
	if err != nil {
		return memoryUse{}, err
	}
	defer endpoint.Close()
	mailpush, err := rig.New(ctx, rig.Options{
		Dir: filepath.Join(dir, "data"), Programs: programs, Store: rig.Store{Address: address, CAFile: filepath.Join(dir, "imap-ca.crt")},
		Services: []string{identity.Admin, identity.Vault, identity.Scheduler},
	})
	if err != nil {
		return memoryUse{}, err
	}
	defer func() { err = errors.Join(err, mailpush.Close()) }()
	worker, err := mailpush.StartWorker("worker")
	if err != nil {
		return memoryUse{}, err
	}
	defer func() { err = errors.Join(err, worker.Stop()) }()

	// The first subscriptions wait until the worker is known to all.
	if err := mailpush.Await(ctx, "the worker", func(ctx context.Context) error {
		return mailpush.Subscribe(ctx, rig.Box(0), endpoint.URL())
	}); err != nil {
		return memoryUse{}, err
	}
	if err := mailpush.AwaitIdle(ctx, 1); err != nil {
		return memoryUse{}, err
	}
	use := memoryUse{listeners: n - 1}
	if use.before, err = rig.Resident(ctx, worker); err != nil {
		return memoryUse{}, err
	}
	if err := subscribeAll(ctx, mailpush, n, endpoint.URL()); err != nil {
		return memoryUse{}, err
	}
	use.after, err = rig.Resident(ctx, worker)
	return use, err
}

func subscribeAll(ctx context.Context, mailpush *rig.Mailpush, n int, url string) error {
	group, calls := errgroup.WithContext(ctx)
	group.SetLimit(subscribers)
	for i := 1; i < n; i++ {
		group.Go(func() error { return mailpush.Subscribe(calls, rig.Box(i), url) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return mailpush.AwaitIdle(ctx, n)
}

// startDouble starts the IMAP double and returns its address; its certificate lies
// in caFile.
func startDouble(ctx context.Context, caFile string) (*proctest.Process, string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, "", fmt.Errorf("finding this program: %w", err)
	}
	said := make(chan string, 1)
	p, err := proctest.Start(proctest.Command{
		Path: self, Args: []string{roleDouble, caFile}, Name: "the IMAP double", Log: caFile + ".log",
		Look: func(line []byte) {
			select {
			case said <- string(line):
			default: // the address is the first line
			}
		},
	})
	if err != nil {
		return nil, "", err
	}
	select {
	case address := <-said:
		return p, address, nil
	case <-p.Ended():
		return nil, "", fmt.Errorf("starting %s: %s", p.Name(), p.Log())
	case <-ctx.Done():
		p.Kill()
		return nil, "", ctx.Err()
	}
}
