// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"connectrpc.com/connect"

	"mailpush.internal/pkg/identity"
	"mailpush.internal/pkg/proctest"
	adminv1 "mailpush.internal/proto/gen/mailpush/admin/v1"
	"mailpush.internal/trials/internal/rig"
)

const (
	supervisedShards = 64
	// endless is a lease that ends by itself long after every test.
	endless = "cluster.leaseTTL=1h"
)

// supervisedTrial is a mailpush whose workers have supervisors, on leases that do not end.
type supervisedTrial struct {
	t        *testing.T
	mailpush *rig.Mailpush
	address  []string // of the workers
	parents  []*proctest.Process
}

func newSupervisedTrial(t *testing.T, workers int) *supervisedTrial {
	t.Helper()
	s := &supervisedTrial{t: t, mailpush: withoutWorkers(t, rig.Options{
		Store: rig.Store{Address: "127.0.0.1:1"}, // nobody has a mailbox there
		Set:   []string{endless, fmt.Sprintf("cluster.shards=%d", supervisedShards)},
	})}
	var err error
	if s.address, err = proctest.FreeAddresses(t.Context(), "127.0.0.4", workers); err != nil {
		t.Fatal(err)
	}
	for i, address := range s.address {
		parent, err := s.mailpush.StartSupervisedWorker(fmt.Sprintf("worker-%d", i), "worker.listen="+address, "log.level=info")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			parent.Kill()
			if t.Failed() {
				t.Logf("log of %s:\n%s", parent.Name(), parent.Log())
			}
		})
		s.parents = append(s.parents, parent)
	}
	return s
}

// registered are the ids of the workers by their address, with shards or without.
func (s *supervisedTrial) registered(ctx context.Context) (ids map[string]string, held uint32, err error) {
	answer, err := s.mailpush.Admin.ListWorkers(ctx, connect.NewRequest(&adminv1.ListWorkersRequest{}))
	if err != nil {
		return nil, 0, err
	}
	ids = make(map[string]string)
	for _, worker := range answer.Msg.GetWorkers() {
		ids[worker.GetAddress()] = worker.GetId()
		held += worker.GetShards()
	}
	return ids, held, nil
}

// settled waits until as many workers are registered, none under one of the former ids,
// and hold all shards.
func (s *supervisedTrial) settled(workers int, former ...string) map[string]string {
	s.t.Helper()
	var ids map[string]string
	await(s.t, "workers that hold all", startTimeout, func(ctx context.Context) (err error) {
		var held uint32
		if ids, held, err = s.registered(ctx); err != nil {
			return err
		}
		for _, id := range ids {
			if slices.Contains(former, id) {
				return fmt.Errorf("%s is still there", id)
			}
		}
		if len(ids) != workers || workers > 0 && held != supervisedShards {
			return fmt.Errorf("%d workers hold %d shards", len(ids), held)
		}
		return nil
	})
	return ids
}

// child is the process that works for a supervisor.
func (s *supervisedTrial) child(parent int) (pid int) {
	s.t.Helper()
	await(s.t, "a child", startTimeout, func(context.Context) error {
		lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", parent)) // each thread has its own
		if err != nil {
			return err
		}
		for _, list := range lists {
			text, _ := os.ReadFile(list) // threads come and go
			if _, err := fmt.Sscan(string(text), &pid); err == nil {
				return nil
			}
		}
		return fmt.Errorf("%d has none", parent)
	})
	return pid
}

func (s *supervisedTrial) kill(pid int, signal syscall.Signal) {
	s.t.Helper()
	if err := syscall.Kill(pid, signal); err != nil {
		s.t.Fatal(err)
	}
}

// Leases last for an hour: whoever is replaced within the test was given up by its
// supervisor. One that stands still is not.
func TestSupervisedWorkersAreReplacedAtOnce(t *testing.T) {
	if testing.Short() {
		t.Skip("starts seven processes") //nolint:forbidigo // only with -short
	}
	t.Parallel()
	s := newSupervisedTrial(t, 2)
	first := s.settled(2)
	still, victim := s.child(s.parents[0].Pid()), s.child(s.parents[1].Pid())
	s.kill(still, syscall.SIGSTOP)
	s.kill(victim, syscall.SIGKILL)
	var second map[string]string
	await(t, "another worker in the place of the dead one", startTimeout, func(ctx context.Context) (err error) {
		if second, _, err = s.registered(ctx); err != nil {
			return err
		}
		if id := second[s.address[1]]; id == "" || id == first[s.address[1]] || len(second) != 2 {
			return fmt.Errorf("workers %v", second)
		}
		return nil
	})
	if second[s.address[0]] != first[s.address[0]] {
		t.Errorf("the worker that stands still was given up: %v, before %v", second, first)
	}
	s.kill(still, syscall.SIGKILL)
	last := s.settled(2, first[s.address[0]], first[s.address[1]])

	// In order: nothing of it is left to be revoked.
	stop(t, s.parents[0])
	s.settled(1, last[s.address[0]])
	if log := s.parents[0].Log(); !strings.Contains(log, "worker leaves") || strings.Count(log, "revoked the lease of a dead worker") != 1 {
		t.Errorf("it was not left in order, or not revoked once before:\n%s", log)
	}
	stop(t, s.parents[1])
}

// The socket that mail stores notify, as systemd opens it, is there while no process is.
func TestSupervisedWorkersKeepSystemdsSocket(t *testing.T) {
	if testing.Short() {
		t.Skip("starts five processes") //nolint:forbidigo // only with -short
	}
	t.Parallel()
	s := newSupervisedTrial(t, 0)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	tcp, _ := listener.(*net.TCPListener)
	file, err := tcp.File()
	if err != nil {
		t.Fatal(err)
	}
	c := s.mailpush.Command(identity.Worker, "activated", "worker.opsListen=127.0.0.1:0", "log.level=info",
		"worker.notify.listen="+address, "worker.notify.username=dove", "worker.notify.password=s3cret")
	// The shell knows the process id that systemd would.
	script := append([]string{"-c", `LISTEN_PID=$$ LISTEN_FDS=1; export LISTEN_PID LISTEN_FDS; exec "$@"`, "sh", c.Path}, append(c.Args, "--supervise")...)
	parent := exec.CommandContext(t.Context(), "/bin/sh", script...)
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	parent.Stdout, parent.Stderr, parent.ExtraFiles = log, log, []*os.File{file}
	parent.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- parent.Wait() }()
	t.Cleanup(func() {
		_ = syscall.Kill(-parent.Process.Pid, syscall.SIGKILL)
		<-ended //nolint:errcheck // it may have been killed
		if text, err := os.ReadFile(log.Name()); t.Failed() {
			t.Logf("log: %v\n%s", err, text)
		}
		_ = log.Close()
	})
	_, _ = listener.Close(), file.Close() // from now on it is the processes' alone
	former := slices.Collect(maps.Values(s.settled(1)))
	for _, signal := range []syscall.Signal{syscall.SIGKILL, syscall.SIGUSR2, syscall.SIGKILL} { // USR2: in its place
		s.kill(s.child(parent.Process.Pid), signal)
		s.knock(address)
		former = slices.AppendSeq(former, maps.Values(s.settled(1, former...)))
	}
	if err := parent.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("its end: %v", err)
	}
	ended <- nil
	s.settled(0)
}

// knock expects to be answered at an address, however long it takes, and not refused.
func (s *supervisedTrial) knock(address string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), startTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://"+address+notifyPath, http.NoBody)
	if err != nil {
		s.t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(request)
	if err != nil {
		s.t.Fatalf("nobody is told of mail: %v", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusUnauthorized {
		s.t.Errorf("without a login: %s", answer.Status)
	}
}
