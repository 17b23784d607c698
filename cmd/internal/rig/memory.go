// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"mailpush.internal/cmd/internal/program"
	"mailpush.internal/cmd/internal/wire/workerwire"
	"mailpush.internal/pkg/identity"
)

// workerRole as first argument makes a benchmark's program a listener-worker.
const workerRole = "rig-worker"

// settle is how long a process's memory is watched; its lowest point counts, because
// Go returns freed memory to the system only little by little.
const settle = 15 * time.Second

// Role runs this process as the child it was started as. played is false when it is
// the benchmark itself.
func Role(args []string, stdout, stderr io.Writer) (code int, played bool) {
	if len(args) < 2 || args[1] != workerRole {
		return 0, false
	}
	workerwire.Tune()
	return program.Main(identity.Worker, workerwire.Build, "bench", args[2:], stdout, stderr), true
}

// Child is a copy of this program in another role.
type Child struct {
	Command *exec.Cmd
}

// NewChild prepares a copy of this program that ends with it.
func NewChild(ctx context.Context, args ...string) (*Child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding this program: %w", err)
	}
	c := &Child{Command: exec.CommandContext(ctx, self, args...)} //nolint:gosec // this very program
	c.Command.Stderr = os.Stderr
	c.Command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return c, nil
}

// Stop asks the process to end and waits for it.
func (c *Child) Stop() {
	_ = c.Command.Process.Signal(syscall.SIGTERM) // it may have ended
	_ = c.Command.Wait()                          // how it ended does not matter any more
}

// Resident is the lowest resident memory of the process within a while, in bytes.
func (c *Child) Resident(ctx context.Context) (int64, error) {
	lowest := int64(0)
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for end := time.Now().Add(settle); time.Now().Before(end); {
		now, err := residentBytes(c.Command.Process.Pid)
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

// Kill ends the process as a crash does and waits until it is gone.
func (c *Child) Kill() {
	_ = c.Command.Process.Kill() // it may have ended
	_ = c.Command.Wait()         // how it ended does not matter any more
}

// StartWorker starts a listener-worker as a process of its own.
func (m *Mailpush) StartWorker(ctx context.Context) (*Child, error) {
	s, tls := m.Settings(), filepath.Join(m.node.Dir(), "tls")
	authority, err := identity.OpenAuthority(tls, s.Cluster.Name)
	if err != nil {
		return nil, err
	}
	if _, err := authority.Write(identity.Worker, tls); err != nil {
		return nil, err
	}
	addresses, err := FreeAddresses(ctx, "127.0.0.1", 2)
	if err != nil {
		return nil, err
	}
	c, err := NewChild(ctx, workerRole,
		"--set", "cluster.etcd.endpoints=["+s.Cluster.Etcd.Endpoints[0]+"]",
		"--set", "identity.dir="+tls,
		"--set", "admin.internalListen="+s.Admin.InternalListen,
		"--set", "vault.listen="+s.Vault.Listen,
		"--set", "cluster.leaseTTL="+s.Cluster.LeaseTTL.String(),
		"--set", fmt.Sprintf("cluster.shards=%d", s.Cluster.Shards),
		"--set", "worker.listen="+addresses[0],
		"--set", "worker.opsListen="+addresses[1],
		"--set", "push.webhook.allowHTTP=true",
		"--set", "push.webhook.allowPrivate=[127.0.0.0/8, '::1/128']",
		"--set", "log.level=warn")
	if err != nil {
		return nil, err
	}
	if err := c.Command.Start(); err != nil {
		return nil, fmt.Errorf("starting the worker: %w", err)
	}
	return c, nil
}

// FreeAddresses finds n addresses of a loopback host nobody listens on at this moment.
func FreeAddresses(ctx context.Context, host string, n int) ([]string, error) {
	var addresses []string
	var held []net.Listener
	defer func() { // not before all are found: they must differ
		for _, listener := range held {
			_ = listener.Close()
		}
	}()
	for range n {
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(host, "0"))
		if err != nil {
			return nil, fmt.Errorf("finding a free address: %w", err)
		}
		held, addresses = append(held, listener), append(addresses, listener.Addr().String())
	}
	return addresses, nil
}
