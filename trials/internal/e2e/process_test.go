// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"mailpush.internal/pkg/proctest"
	"mailpush.internal/pkg/sqltest"
	"mailpush.internal/trials/internal/rig"
)

const (
	startTimeout = 60 * time.Second
	stopTimeout  = 20 * time.Second
)

// shipped are the programs, built once, for all tests.
var shipped struct {
	dir  string
	once sync.Once
	rig.Programs
	err error
}

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	defer func() { _ = os.RemoveAll(shipped.dir) }() // with -short nothing is built
	return sqltest.Run(m)
}

// build builds the programs as they are shipped: static, without the race detector.
func build(t *testing.T) rig.Programs {
	t.Helper()
	shipped.once.Do(func() {
		if shipped.dir, shipped.err = os.MkdirTemp("", "e2e-"); shipped.err == nil { //nolint:usetesting // it outlives this test
			shipped.Programs, shipped.err = rig.BuildShipped(t.Context(), shipped.dir)
		}
	})
	if shipped.err != nil {
		t.Fatal(shipped.err)
	}
	return shipped.Programs
}

// start starts a program that ends with the test.
func start(t *testing.T, programs rig.Programs, program, name string, args ...string) *proctest.Process {
	t.Helper()
	p, err := proctest.Start(proctest.Command{
		Path: programs.Path(program), Args: args, Name: name, Log: filepath.Join(t.TempDir(), name+".log"), StopWithin: stopTimeout,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("log of %s:\n%s", name, p.Log())
		}
	})
	return p
}

// stop asks a program to end and expects exit code 0.
func stop(t *testing.T, p *proctest.Process) {
	t.Helper()
	if err := errors.Join(p.Stop(), p.Err()); err != nil {
		t.Errorf("%v, want exit code 0", err)
	}
}

// await repeats check until it returns nil, and fails the test when it never does.
func await(t *testing.T, what string, within time.Duration, check func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	if err := proctest.Await(ctx, what, check); err != nil {
		t.Fatal(err)
	}
}

// run runs a program to its end.
func run(t *testing.T, programs rig.Programs, program, stdin string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	command := exec.CommandContext(t.Context(), programs.Path(program), args...)
	var out, errs bytes.Buffer
	command.Stdin, command.Stdout, command.Stderr = strings.NewReader(stdin), &out, &errs
	if err := command.Run(); err != nil && command.ProcessState == nil {
		t.Fatalf("running %s: %v", program, err)
	}
	return out.String(), errs.String(), command.ProcessState.ExitCode()
}
