// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
)

// Restart is a process' end that another one of the same program follows, in the same
// place: SIGUSR2 asks for it. The sockets that were kept stay open all the while, so that
// who connects waits a moment and is not refused.
type Restart struct{ asked atomic.Bool }

// NewRestart returns a context that ends with ctx, and when a restart is asked for.
func NewRestart(ctx context.Context) (context.Context, *Restart) {
	r := new(Restart)
	ctx, end := context.WithCancel(ctx)
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGUSR2)
	go func() {
		defer end()
		defer signal.Stop(asked)
		select {
		case <-asked:
			r.asked.Store(true)
		case <-ctx.Done():
		}
	}()
	return ctx, r
}

// Follow replaces the process, if that was asked for, when all is put away; else it
// closes what was kept for the next one. It returns when there is no next one.
func (r *Restart) Follow(kept []*os.File) error {
	if !r.asked.Load() {
		return CloseAll(kept)
	}
	program, err := os.Executable()
	if err != nil {
		return errors.Join(fmt.Errorf("restarting: %w", err), CloseAll(kept))
	}
	var fds []int
	for _, file := range kept {
		fd, err := syscall.Dup(int(file.Fd())) // what Go opens is closed by exec, a copy is not
		if err != nil {
			return fmt.Errorf("handing a socket on: %w", err)
		}
		fds = append(fds, fd)
	}
	err = syscall.Exec(program, os.Args, HandOn(os.Environ(), fds)) //nolint:gosec // it is this program
	return fmt.Errorf("restarting: %w", err)
}

// CloseAll closes sockets that were kept.
func CloseAll(kept []*os.File) error {
	errs := make([]error, 0, len(kept))
	for _, file := range kept {
		errs = append(errs, file.Close())
	}
	return errors.Join(errs...)
}
