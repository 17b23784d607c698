// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"mailpush.internal/pkg/proctest"
	"mailpush.internal/trials/internal/rig"
)

const (
	// peersAtOnce is how many connections a stock client is opening at the same time.
	peersAtOnce = 8
	// peersPatience is when one counts as never to be in IDLE.
	peersPatience = 5 * time.Minute

	imapflowPackage = "imapflow"
	imapflowVersion = "2.10.2"
)

//go:embed imapflow.mjs
var imapflowProgram []byte

// peer is a stock IMAP client.
type peer struct {
	bytes   int64  // of resident memory, for each connection
	missing string // why it was not measured; empty when it was
}

// holder makes a command that holds connections in IDLE for so many mailboxes from the
// first.
type holder func(first, count int) proctest.Command

// peers measures stock clients in IDLE at the same mail store, with nothing of mailpush
// running.
func (l *lab) peers(ctx context.Context, f *figures) error {
	if err := l.Stop(); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "mailpush-bench-peers-")
	if err != nil {
		return err
	}
	err = errors.Join(l.measurePeers(ctx, dir, f), os.RemoveAll(dir))
	return err
}

func (l *lab) measurePeers(ctx context.Context, dir string, f *figures) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program: %w", err)
	}
	store := l.Double.Store
	if f.goimap.bytes, err = l.peer(ctx, dir, "go-imap", func(first, count int) proctest.Command {
		return proctest.Command{Path: self, Args: []string{roleGoIMAP, store.Address, store.CAFile, strconv.Itoa(first), strconv.Itoa(count)}}
	}); err != nil {
		return err
	}
	hold, missing := installImapflow(ctx, dir, store)
	if missing != "" {
		f.imapflow.missing = missing
		fmt.Fprintln(l.out, "  imapflow is not measured:", missing)
		return nil
	}
	f.imapflow.bytes, err = l.peer(ctx, dir, imapflowPackage, hold)
	return err
}

// peer is what a connection adds to a client: two processes hold different numbers of them,
// so that what a process costs without any is not in it.
func (l *lab) peer(ctx context.Context, dir, name string, hold holder) (_ int64, err error) {
	few, many := l.plan.peers/4, l.plan.peers-l.plan.peers/4
	var processes []*proctest.Process
	defer func() {
		for _, p := range processes {
			err = errors.Join(err, p.Stop())
		}
	}()
	for n, count := range []int{few, many} {
		command := hold(n*few, count)
		command.Name = fmt.Sprintf("%s with %d connections", name, count)
		command.Log = filepath.Join(dir, fmt.Sprintf("%s-%d.log", name, n))
		p, err := proctest.Start(command)
		if err != nil {
			return 0, err
		}
		processes = append(processes, p)
	}
	waiting, cancel := context.WithTimeout(ctx, peersPatience)
	defer cancel()
	var group errgroup.Group
	resident := make([]int64, len(processes))
	for n, p := range processes {
		group.Go(func() error {
			err := p.Await(waiting, "stock clients in IDLE", l.idle(few+many))
			if err == nil {
				resident[n], err = rig.Resident(ctx, p)
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return 0, err
	}
	fmt.Fprintf(l.out, "  %s: %d and %d connections\n", name, few, many)
	return (resident[1] - resident[0]) / int64(many-few), nil
}

// idle checks that so many connections are in IDLE at the mail store.
func (l *lab) idle(n int) func(context.Context) error {
	return func(context.Context) error {
		counts, err := l.Double.Counts()
		if err == nil && counts.Idle != n {
			err = fmt.Errorf("%d of %d are", counts.Idle, n)
		}
		return err
	}
}

// installImapflow installs the client below dir, from wherever npm gets its packages. It
// tells why when that cannot be.
func installImapflow(ctx context.Context, dir string, store rig.Store) (_ holder, missing string) {
	node, err := exec.LookPath("node")
	if err != nil {
		return nil, "node is not installed"
	}
	npm, err := exec.LookPath("npm")
	if err != nil {
		return nil, "npm is not installed"
	}
	program := filepath.Join(dir, "imapflow.mjs")
	if err := os.WriteFile(program, imapflowProgram, 0o600); err != nil {
		return nil, err.Error()
	}
	install := exec.CommandContext(ctx, npm, "install", "--prefix", dir, "--package-lock=false", "--ignore-scripts", //nolint:gosec // of this program's making
		"--no-audit", "--no-fund", "--loglevel=silent", imapflowPackage+"@"+imapflowVersion)
	install.Dir = dir
	if err := install.Run(); err != nil {
		return nil, fmt.Sprintf("npm cannot install %s %s: %v", imapflowPackage, imapflowVersion, err)
	}
	host, port, err := net.SplitHostPort(store.Address)
	if err != nil {
		return nil, err.Error()
	}
	return func(first, count int) proctest.Command {
		// Unlike Go's, node's programs do not raise the limit of open files by themselves.
		return proctest.Command{Path: "/bin/sh", Args: []string{
			"-c", `ulimit -n "$(ulimit -H -n)" && exec "$@"`, "sh",
			node, program, host, port, store.CAFile, strconv.Itoa(first), strconv.Itoa(count), strconv.Itoa(peersAtOnce),
		}}
	}, ""
}
