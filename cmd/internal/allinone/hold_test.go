// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package allinone

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// holdsDirectory names the directory that a process of this test holds until it is killed.
const holdsDirectory = "MAILPUSH_TEST_HOLDS"

// told is what a start that waits says, and is closed at its first word.
type told struct {
	mu    sync.Mutex
	text  bytes.Buffer
	first chan struct{}
}

func newTold() *told { return &told{first: make(chan struct{})} }

func (p *told) Write(line []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.text.Len() == 0 {
		close(p.first)
	}
	return p.text.Write(line)
}

func (p *told) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

func TestAStartWaitsForTheOneBeforeToStop(t *testing.T) {
	t.Parallel()
	dir, progress := filepath.Join(t.TempDir(), "data"), newTold()
	before, err := Hold(t.Context(), dir, progress)
	if err != nil {
		t.Fatal(err)
	}
	next := make(chan error, 1)
	go func() {
		held, err := hold(t.Context(), dir, progress, time.Minute)
		if err == nil {
			err = held.Release()
		}
		next <- err
	}()
	<-progress.first // it waits
	if err := before.Release(); err != nil {
		t.Fatal(err)
	}
	if err := <-next; err != nil {
		t.Error(err)
	}
	if want := fmt.Sprintf("data directory in use by PID %d: waiting", os.Getpid()); strings.Count(progress.String(), want) != 1 {
		t.Errorf("%q is not said once in %q", want, progress)
	}
}

func TestAStartDoesNotWaitForEver(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	running, err := Hold(t.Context(), dir, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = running.Release() }()
	if _, err := hold(t.Context(), dir, t.Output(), time.Millisecond); err == nil ||
		!strings.Contains(err.Error(), fmt.Sprintf("data directory in use by PID %d: %s", os.Getpid(), dir)) {
		t.Errorf("got %v", err)
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	if _, err := Hold(stopped, dir, t.Output()); !errors.Is(err, context.Canceled) {
		t.Errorf("a start that is stopped: %v", err)
	}
}

// What a killed process leaves behind is in nobody's way, whoever has its PID now.
func TestAKilledProcessHoldsNothing(t *testing.T) {
	if dir := os.Getenv(holdsDirectory); dir != "" {
		if _, err := Hold(t.Context(), dir, os.Stderr); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(os.Stdout, "held")
		select {}
	}
	t.Parallel()
	dir := t.TempDir()
	other := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestAKilledProcessHoldsNothing$")
	other.Env = append(os.Environ(), holdsDirectory+"="+dir)
	out, err := other.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 4)); err != nil { // it holds it
		t.Fatal(err)
	}
	if _, err := hold(t.Context(), dir, t.Output(), time.Millisecond); err == nil ||
		!strings.Contains(err.Error(), fmt.Sprintf("in use by PID %d", other.Process.Pid)) {
		t.Errorf("while it runs: %v", err)
	}
	_ = other.Process.Kill()
	_ = other.Wait()
	// The PID of a process that lives, and has nothing to do with it.
	if err := os.WriteFile(filepath.Join(dir, lockName), fmt.Appendln(nil, os.Getppid()), 0o600); err != nil {
		t.Fatal(err)
	}
	progress := newTold()
	held, err := Hold(t.Context(), dir, progress)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = held.Release() }()
	if progress.String() != "" {
		t.Errorf("it has waited: %s", progress)
	}
}
