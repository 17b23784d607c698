// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"mailpush.internal/cmd/internal/settings"
	"mailpush.internal/pkg/identity"
)

const (
	// subscribers is how many users are subscribed side by side.
	subscribers = 4
	// settle is how long the worker's memory is watched; its lowest point counts,
	// because Go returns freed memory to the system only little by little.
	settle = 15 * time.Second
)

// measureMemory holds n idle TLS listeners in a worker that is a process of its
// own, against an IMAP double in another, and compares the worker's resident
// memory before and after.
func measureMemory(ctx context.Context, n int) (_ memoryUse, err error) {
	dir, err := os.MkdirTemp("", "mailpush-bench-")
	if err != nil {
		return memoryUse{}, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	double, err := startDouble(ctx, filepath.Join(dir, "imap-ca.crt"))
	if err != nil {
		return memoryUse{}, err
	}
	defer double.stop()
	store := settings.Store{Address: double.line, TLS: settings.TLSImplicit, CAFile: filepath.Join(dir, "imap-ca.crt"), ServerName: "localhost"}
	mailpush, err := newMailpush(ctx, filepath.Join(dir, "data"), store, identity.Admin, identity.Vault, identity.Scheduler)
	if err != nil {
		return memoryUse{}, err
	}
	defer func() { err = errors.Join(err, mailpush.close()) }()
	worker, err := startWorker(ctx, dir, mailpush.node.Settings())
	if err != nil {
		return memoryUse{}, err
	}
	defer worker.stop()

	// The first subscriptions wait until the worker is known to all.
	if err := mailpush.await(ctx, "the worker", func(ctx context.Context) error {
		return mailpush.subscribe(ctx, boxName(0), "http://127.0.0.1:1")
	}); err != nil {
		return memoryUse{}, err
	}
	if err := mailpush.awaitIdle(ctx, 1); err != nil {
		return memoryUse{}, err
	}
	use := memoryUse{listeners: n - 1}
	if use.before, err = worker.resident(ctx); err != nil {
		return memoryUse{}, err
	}
	if err := subscribeAll(ctx, mailpush, n); err != nil {
		return memoryUse{}, err
	}
	use.after, err = worker.resident(ctx)
	return use, err
}

func subscribeAll(ctx context.Context, mailpush *mailpush, n int) error {
	group, calls := errgroup.WithContext(ctx)
	group.SetLimit(subscribers)
	for i := 1; i < n; i++ {
		group.Go(func() error { return mailpush.subscribe(calls, boxName(i), "http://127.0.0.1:1") })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return mailpush.awaitIdle(ctx, n)
}

// child is a copy of this program in another role.
type child struct {
	command *exec.Cmd
	line    string // the first line it printed
}

func startChild(ctx context.Context, args ...string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding this program: %w", err)
	}
	c := &child{command: exec.CommandContext(ctx, self, args...)} //nolint:gosec // this very program
	c.command.Stderr = os.Stderr
	c.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return c, nil
}

func (c *child) stop() {
	_ = c.command.Process.Signal(syscall.SIGTERM) // it may have ended
	_ = c.command.Wait()                          // how it ended does not matter any more
}

// resident is the lowest resident memory of the process within a while, in bytes.
func (c *child) resident(ctx context.Context) (int64, error) {
	lowest := int64(0)
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for end := time.Now().Add(settle); time.Now().Before(end); {
		now, err := residentBytes(c.command.Process.Pid)
		if err != nil {
			return 0, err
		}
		if lowest == 0 || now < lowest {
			lowest = now
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	return lowest, nil
}

// residentBytes reads VmRSS of a process.
func residentBytes(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("reading the worker's memory: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, found := strings.CutPrefix(line, "VmRSS:"); found {
			kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			return kib << 10, err
		}
	}
	return 0, errors.New("reading the worker's memory: no VmRSS")
}

func startWorker(ctx context.Context, dir string, s *settings.Settings) (*child, error) {
	tls := filepath.Join(dir, "data", "tls")
	authority, err := identity.OpenAuthority(tls, s.Cluster.Name)
	if err != nil {
		return nil, err
	}
	if _, err := authority.Write(identity.Worker, tls); err != nil {
		return nil, err
	}
	c, err := startChild(ctx, roleWorker,
		"--set", "cluster.etcd.endpoints=["+s.Cluster.Etcd.Endpoints[0]+"]",
		"--set", "identity.dir="+tls,
		"--set", "admin.internalListen="+s.Admin.InternalListen,
		"--set", "vault.listen="+s.Vault.Listen,
		"--set", "worker.listen="+s.Worker.Listen,
		"--set", "worker.opsListen="+s.Worker.OpsListen,
		"--set", "push.webhook.allowHTTP=true",
		"--set", "log.level=warn")
	if err != nil {
		return nil, err
	}
	if err := c.command.Start(); err != nil {
		return nil, fmt.Errorf("starting the worker: %w", err)
	}
	return c, nil
}

// startDouble starts the IMAP double; its first line is the address, its
// certificate lies in caFile.
func startDouble(ctx context.Context, caFile string) (*child, error) {
	c, err := startChild(ctx, roleDouble, caFile)
	if err != nil {
		return nil, err
	}
	out, err := c.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.command.Start(); err != nil {
		return nil, fmt.Errorf("starting the IMAP double: %w", err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		c.stop()
		return nil, fmt.Errorf("starting the IMAP double: %w", err)
	}
	c.line = strings.TrimSpace(line)
	return c, nil
}
