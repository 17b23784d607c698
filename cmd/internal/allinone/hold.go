// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package allinone

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	// lockName is the file in a data directory that its process holds a lock on.
	lockName = "lock"
	// stopPatience is how long a start waits for the process before it: a stop takes
	// some 10 s, and units give it 30 s.
	stopPatience = 30 * time.Second
	lockPoll     = 50 * time.Millisecond
)

// Held is a data directory that is this process's alone, until it is released. The kernel
// keeps the lock, and lets go of it when the process ends, however that is: the file that
// is left behind says nothing by being there, nor does the PID in it.
type Held struct{ file *os.File }

// Hold makes the data directory when it is missing, and waits until it is this process's.
// A process that holds it may be about to stop: it gets some seconds, which progress is
// told, and then the error names it.
func Hold(ctx context.Context, dir string, progress io.Writer) (*Held, error) {
	return hold(ctx, dir, progress, stopPatience)
}

func hold(ctx context.Context, dir string, progress io.Writer, patience time.Duration) (*Held, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil { //nolint:gosec // it is where the operator says
		return nil, fmt.Errorf("making the data directory: %w", err)
	}
	file, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // likewise
	if err != nil {
		return nil, fmt.Errorf("locking the data directory: %w", err)
	}
	err = lock(ctx, file, patience, func() {
		fmt.Fprintf(progress, "data directory in use by PID %s: waiting up to %s for it to stop\n", holder(file), patience)
	})
	if errors.Is(err, errInUse) {
		err = fmt.Errorf("data directory in use by PID %s: %s; stop that process, or give this one another --data", holder(file), dir)
	}
	if err == nil {
		err = sign(file)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &Held{file}, nil
}

var errInUse = errors.New("in use")

// lock takes the lock on a file, which another process may have. That it waits for that
// it tells once.
func lock(ctx context.Context, file *os.File, patience time.Duration, waits func()) error {
	late := time.NewTimer(patience)
	defer late.Stop()
	again := time.NewTicker(lockPoll)
	defer again.Stop()
	for told := false; ; told = true {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return err
		}
		if !told {
			waits()
		}
		select {
		case <-again.C:
		case <-late.C:
			return errInUse
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// sign writes down who holds the lock, for whoever waits for it.
func sign(file *os.File) error {
	if err := file.Truncate(0); err != nil {
		return fmt.Errorf("locking the data directory: %w", err)
	}
	if _, err := file.WriteAt(fmt.Appendln(nil, os.Getpid()), 0); err != nil {
		return fmt.Errorf("locking the data directory: %w", err)
	}
	return nil
}

// holder is the PID in a lock's file. One that has just got the lock may not have signed.
func holder(file *os.File) string {
	text := make([]byte, 20)
	n, _ := file.ReadAt(text, 0) // at its end, as a rule
	return cmp.Or(strings.TrimSpace(string(text[:n])), "unknown")
}

// Release lets another process have the directory.
func (h *Held) Release() error {
	if err := h.file.Close(); err != nil {
		return fmt.Errorf("unlocking the data directory: %w", err)
	}
	return nil
}
