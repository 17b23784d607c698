// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	startTimeout = 60 * time.Second
	stopTimeout  = 20 * time.Second
	pollEvery    = 20 * time.Millisecond
)

// build builds the programs as they are shipped: static, without the race detector.
func build(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	args := []string{"build", "-o", dir + string(os.PathSeparator)}
	for _, program := range []string{"admin-api", "credential-vault", "listener-worker", "scheduler", "mailpush", "pushusers"} {
		args = append(args, "./cmd/"+program)
	}
	command := exec.CommandContext(t.Context(), "go", args...)
	command.Dir = filepath.Join("..", "..", "..")
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("building the programs: %v\n%s", err, out)
	}
	return dir
}

// process is one running program.
type process struct {
	name    string
	command *exec.Cmd
	log     *bytes.Buffer
	exited  chan error
}

// start starts a program that ends with the test, and with this process however
// that ends.
func start(t *testing.T, dir, program string, args ...string) *process {
	t.Helper()
	p := &process{name: program, log: new(bytes.Buffer), exited: make(chan error, 1)}
	p.command = exec.CommandContext(context.WithoutCancel(t.Context()), filepath.Join(dir, program), args...)
	p.command.Stdout, p.command.Stderr = p.log, p.log
	p.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.command.Start(); err != nil {
		t.Fatalf("starting %s: %v", program, err)
	}
	go func() { p.exited <- p.command.Wait() }()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("log of %s:\n%s", program, p.log)
		}
	})
	return p
}

// stop asks the program to end and expects exit code 0.
func (p *process) stop(t *testing.T) {
	t.Helper()
	if err := p.command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Errorf("stopping %s: %v", p.name, err)
		return
	}
	select {
	case err := <-p.exited:
		p.exited <- err
		if err != nil {
			t.Errorf("%s after SIGTERM: %v, want exit code 0", p.name, err)
		}
	case <-time.After(stopTimeout):
		t.Errorf("%s has not stopped %s after SIGTERM", p.name, stopTimeout)
	}
}

// kill ends the program at once and waits for it.
func (p *process) kill() {
	_ = p.command.Process.Kill() // it may have ended
	p.exited <- <-p.exited
}

// await repeats check until it returns nil, and fails the test when it never does.
func await(t *testing.T, what string, within time.Duration, check func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		err := check(ctx)
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s did not come true within %s: %v", what, within, err)
		}
	}
}

// ready asks a service's /readyz.
func ready(address string) func(context.Context) error {
	return func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/readyz", nil)
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			return err
		}
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("%s", bytes.TrimSpace(body))
		}
		return nil
	}
}

// freeAddresses returns loopback addresses nobody listens on at this moment.
func freeAddresses(t *testing.T, n int) []string {
	t.Helper()
	addresses, held := make([]string, n), make([]net.Listener, n)
	for i := range addresses {
		listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addresses[i], held[i] = listener.Addr().String(), listener
	}
	for _, listener := range held { // not before all are known: they must differ
		_ = listener.Close()
	}
	return addresses
}

// run runs a program to its end.
func run(t *testing.T, dir, program, stdin string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	command := exec.CommandContext(t.Context(), filepath.Join(dir, program), args...)
	var out, errs bytes.Buffer
	command.Stdin, command.Stdout, command.Stderr = strings.NewReader(stdin), &out, &errs
	if err := command.Run(); err != nil && command.ProcessState == nil {
		t.Fatalf("running %s: %v", program, err)
	}
	return out.String(), errs.String(), command.ProcessState.ExitCode()
}
