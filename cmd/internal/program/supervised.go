// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package program

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"

	"mailpush.internal/cmd/internal/settings"
	"mailpush.internal/cmd/internal/supervise"
	"mailpush.internal/cmd/internal/wire"
	"mailpush.internal/pkg/cluster"
)

// supervised runs the named service as a child of this process, with the same arguments,
// and returns the exit code. The program file is looked for anew at each start, as one
// that was replaced meanwhile is.
func supervised(name string, s *settings.Settings, o options, args []string, stderr io.Writer) int {
	signals, stop := supervise.Signals()
	defer stop()
	path, err := os.Executable()
	if err != nil {
		fmt.Fprintf(stderr, "%s: finding this program: %v\n", name, err)
		return exitError
	}
	sockets, err := wire.Inherited()
	if err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", name, err)
		return exitError
	}
	fds := make([]int, len(sockets))
	for i := range fds {
		fds[i] = supervise.FirstSocket + i
	}
	supervisor := supervise.New(supervise.Config{
		Path: path, Args: args, Env: wire.HandOn(os.Environ(), fds), Sockets: sockets,
		Log:    s.Log.Logger(new(slog.LevelVar)).With("service", name, "process", "supervisor"),
		Revoke: o.revoke,
	})
	debug.FreeOSMemory() // from now on it waits, for weeks
	return supervisor.Run(signals)
}

// revoke ends the lease of a worker that is dead. Nothing of etcd is in this process
// before that. The settings are read anew, as the worker may have been restarted in its
// place with others.
func (o options) revoke(ctx context.Context, of supervise.Registration) error {
	defer debug.FreeOSMemory()
	s, err := settings.Load(o.config, os.Environ(), o.set)
	if err != nil {
		return err
	}
	config, err := wire.ClusterConfig(s)
	if err != nil {
		return err
	}
	return cluster.Revoke(ctx, config, of.Lease)
}
