// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"

	"mailpush.internal/cmd/internal/rig"
	"mailpush.internal/cmd/internal/settings"
	"mailpush.internal/pkg/identity"
)

// subscribers is how many users are subscribed side by side.
const subscribers = 4

// measureMemory holds n idle TLS listeners in a worker that is a process of its
// own, against an IMAP double in another, and compares the worker's resident
// memory before and after.
func measureMemory(ctx context.Context, n int) (_ memoryUse, err error) {
	dir, err := os.MkdirTemp("", "mailpush-bench-")
	if err != nil {
		return memoryUse{}, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	double, address, err := startDouble(ctx, filepath.Join(dir, "imap-ca.crt"))
	if err != nil {
		return memoryUse{}, err
	}
	defer double.Stop()
	endpoint, err := rig.NewEndpoint(ctx)
	if err != nil {
		return memoryUse{}, err
	}
	defer func() { err = errors.Join(err, endpoint.Close()) }()
	store := settings.Store{Address: address, TLS: settings.TLSImplicit, CAFile: filepath.Join(dir, "imap-ca.crt"), ServerName: "localhost"}
	mailpush, err := rig.New(ctx, rig.Options{
		Dir: filepath.Join(dir, "data"), Store: store, Services: []string{identity.Admin, identity.Vault, identity.Scheduler},
	})
	if err != nil {
		return memoryUse{}, err
	}
	defer func() { err = errors.Join(err, mailpush.Close()) }()
	worker, err := mailpush.StartWorker(ctx)
	if err != nil {
		return memoryUse{}, err
	}
	defer worker.Stop()

	// The first subscriptions wait until the worker is known to all.
	if err := mailpush.Await(ctx, "the worker", func(ctx context.Context) error {
		return mailpush.Subscribe(ctx, rig.Box(0), endpoint.URL)
	}); err != nil {
		return memoryUse{}, err
	}
	if err := mailpush.AwaitIdle(ctx, 1); err != nil {
		return memoryUse{}, err
	}
	use := memoryUse{listeners: n - 1}
	if use.before, err = worker.Resident(ctx); err != nil {
		return memoryUse{}, err
	}
	if err := subscribeAll(ctx, mailpush, n, endpoint.URL); err != nil {
		return memoryUse{}, err
	}
	use.after, err = worker.Resident(ctx)
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
func startDouble(ctx context.Context, caFile string) (*rig.Child, string, error) {
	c, err := rig.NewChild(ctx, roleDouble, caFile)
	if err != nil {
		return nil, "", err
	}
	out, err := c.Command.StdoutPipe()
	if err != nil {
		return nil, "", err
	}
	if err := c.Command.Start(); err != nil {
		return nil, "", fmt.Errorf("starting the IMAP double: %w", err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		c.Stop()
		return nil, "", fmt.Errorf("starting the IMAP double: %w", err)
	}
	return c, strings.TrimSpace(line), nil
}
