// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package supervise_test

import (
	"context"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"mailpush.internal/cmd/internal/supervise"
)

func TestLeaseOfADeadProcessIsRevokedAndAnotherOneStarts(t *testing.T) {
	t.Parallel()
	w := begin(t, nil)
	first := w.next()
	first.tell("w1", 0x1)
	first.tell("w2", 0x7fffffffffffffff) // it has lost the first, and joined anew
	first.kill(syscall.SIGKILL)
	first.gone()
	second := w.next()
	second.tell("w3", 0x3)
	second.order("exit 3") // a program that gives up is as dead
	third := w.next()
	third.tell("w4", 0x4)
	w.signals <- syscall.SIGTERM
	third.expect("asked to end")
	third.order("exit 0")
	w.ends(0, supervise.Registration{Worker: "w2", Lease: 0x7fffffffffffffff}, supervise.Registration{Worker: "w3", Lease: 0x3})
}

// The lease is the process's own: what a process of its own has inherited renews nothing.
func TestProcessThatLeavesAnotherBehindIsDead(t *testing.T) {
	t.Parallel()
	w := begin(t, nil)
	process := w.next()
	process.tell("w1", 0x1)
	process.order("spawn")
	left, err := strconv.Atoi(<-process.said)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(left, syscall.SIGKILL) })
	process.kill(syscall.SIGKILL)
	w.next()
	w.signals <- syscall.SIGTERM
	w.signals <- syscall.SIGTERM
	w.ends(128+9, supervise.Registration{Worker: "w1", Lease: 1})
}

// A process that stands still may act again at any moment, until its own fence.
func TestProcessThatStandsStillIsAlive(t *testing.T) {
	t.Parallel()
	w := begin(t, nil)
	process := w.next()
	process.tell("w1", 0x1)
	for range 2 {
		process.kill(syscall.SIGSTOP)
		process.awaitState("T")
		for range 3 { // the supervisor is awake, and has looked at all there is
			w.signals <- syscall.SIGHUP
		}
		w.expectRevoked()
		process.kill(syscall.SIGCONT)
		process.expect("got hangup")
	}
	process.kill(syscall.SIGSTOP)
	process.awaitState("T")
	w.signals <- syscall.SIGHUP
	w.expectRevoked()
	if len(w.workers) != 0 {
		t.Error("another one was started beside it")
	}
	process.kill(syscall.SIGKILL)
	w.next()
	w.signals <- syscall.SIGTERM
	w.signals <- syscall.SIGTERM
	w.ends(128+9, supervise.Registration{Worker: "w1", Lease: 1})
}

func TestProcessThatEndsInOrderHasLeftByItself(t *testing.T) {
	t.Parallel()
	w := begin(t, nil)
	first := w.next()
	first.tell("w1", 0x1)
	first.order("exit 0")
	second := w.next() // nobody has asked the supervisor
	w.signals <- syscall.SIGINT
	second.expect("asked to end")
	second.order("exit 0")
	w.ends(0)
}

func TestProcessHasItsTimeToEnd(t *testing.T) {
	t.Parallel()
	w := begin(t, nil)
	process := w.next()
	w.signals <- syscall.SIGTERM
	process.expect("asked to end")
	// systemd and terminals signal parent and process.
	process.kill(syscall.SIGTERM)
	process.expect("got terminated")
	process.tell("w1", 0x1)
	w.signals <- syscall.SIGHUP
	process.expect("got hangup")
	process.order("exit 4")
	w.ends(4, supervise.Registration{Worker: "w1", Lease: 1})
}

func TestSecondRequestToEndKills(t *testing.T) {
	t.Parallel()
	w := begin(t, nil)
	process := w.next()
	process.tell("w1", 0x1)
	w.signals <- syscall.SIGTERM
	process.expect("asked to end")
	w.signals <- syscall.SIGINT
	w.ends(128+9, supervise.Registration{Worker: "w1", Lease: 1})
	process.gone()
}

func TestOtherSignalsArePassedOn(t *testing.T) {
	t.Parallel()
	nowhere, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nowhere.Close() })
	w := begin(t, func(c *supervise.Config) { c.Stderr = nowhere })
	process := w.next()
	w.signals <- syscall.SIGHUP
	process.expect("got hangup")
	w.signals <- syscall.SIGUSR2
	process.expect("got user defined signal 2")
	w.signals <- syscall.SIGQUIT // which Go's own handler ends by, with all stacks
	process.gone()
	w.next()
}

func TestProcessEndsWithItsParent(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	parent := exec.CommandContext(t.Context(), os.Args[0])
	parent.Env = append(os.Environ(), role+"="+roleSupervisor, address+"="+h.listener.Addr().String())
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	process := h.next()
	t.Cleanup(func() { _ = syscall.Kill(process.pid, syscall.SIGKILL) })
	process.tell("w1", 0x1)
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait() // it was killed
	process.expect("asked to end")
	process.order("exit 0")
	process.gone()
}

func TestSupervisorGivesUpOnCrashLoops(t *testing.T) {
	t.Parallel()
	w := begin(t, func(c *supervise.Config) { c.MostEnds = 3 })
	for range 3 {
		w.next().order("exit 7")
	}
	w.ends(1)
	if log := w.log.String(); !strings.Contains(log, "is not started any more") || !strings.Contains(log, "exit status 7") || strings.Count(log, "starting the worker again") != 2 {
		t.Error("the log does not say so")
	}
	if len(w.workers) != 0 {
		t.Error("one more was started")
	}
}

func TestCrashAfterALongLifeIsNoLoop(t *testing.T) {
	t.Parallel()
	w := begin(t, func(c *supervise.Config) { c.MostEnds, c.Recovered = 2, time.Nanosecond })
	for range 5 {
		w.next().order("exit 7")
	}
	process := w.next()
	w.signals <- syscall.SIGTERM
	process.expect("asked to end")
	process.order("exit 0")
	w.ends(0)
}

func TestStopDuringThePauseBeforeARestart(t *testing.T) {
	t.Parallel()
	w := begin(t, func(c *supervise.Config) { c.Restarts.Min, c.Restarts.Max = time.Hour, time.Hour })
	process := w.next()
	process.tell("w1", 0x1)
	process.kill(syscall.SIGKILL)
	w.awaitLog("starting the worker again")
	w.signals <- syscall.SIGHUP // for nobody
	w.signals <- syscall.SIGTERM
	w.ends(0, supervise.Registration{Worker: "w1", Lease: 1})
}

func TestProgramThatCannotBeStarted(t *testing.T) {
	t.Parallel()
	w := begin(t, func(c *supervise.Config) { c.Path, c.MostEnds = "/nonexistent/program", 2 })
	w.ends(1)
	if log := w.log.String(); strings.Count(log, "could not be started") != 2 || !strings.Contains(log, "/nonexistent/program") {
		t.Errorf("logged:\n%s", log)
	}
}

func TestEtcdThatDoesNotAnswerHoldsNothingUp(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{})
	w := begin(t, func(c *supervise.Config) {
		c.RevokeWithin = 100 * time.Millisecond
		c.Revoke = func(ctx context.Context, _ supervise.Registration) error {
			close(asked)
			<-ctx.Done()
			return ctx.Err()
		}
	})
	first := w.next()
	first.tell("w1", 0x1)
	first.kill(syscall.SIGKILL)
	second := w.next() // it waits for nothing
	<-asked
	w.signals <- syscall.SIGTERM
	second.expect("asked to end")
	second.order("exit 0")
	w.ends(0)
	if log := w.log.String(); !strings.Contains(log, "was not revoked and ends by itself") || !strings.Contains(log, "worker=w1") {
		t.Error("the log does not say so")
	}
}

func TestRegistrationThatIsNotUnderstoodIsForgotten(t *testing.T) {
	t.Parallel()
	for name, line := range map[string]string{
		"no message": "garbage", "no lease": `{"worker":"w2"}`, "no worker": `{"lease":"2"}`,
		"an endless line": strings.Repeat("x", 5000),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := begin(t, nil)
			process := w.next()
			process.tell("w1", 0x1) // over, as something newer was told
			process.order("write %s", line)
			process.expect("done")
			process.kill(syscall.SIGKILL)
			w.next()
			w.signals <- syscall.SIGTERM
			w.signals <- syscall.SIGTERM
			w.ends(128 + 9)
			if !strings.Contains(w.log.String(), "its lease will end by itself") {
				t.Error("the log does not say so")
			}
		})
	}
}

func TestSocketsOutliveProcesses(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	tcp, _ := listener.(*net.TCPListener)
	file, err := tcp.File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() }) // after the supervisor's end
	w := begin(t, func(c *supervise.Config) { c.Sockets = []*os.File{file} })
	for range 2 {
		process := w.next()
		process.order("who")
		process.expect(listener.Addr().String())
		process.order("exit 1")
	}
}

func TestNobodyIsSupervisedByChance(t *testing.T) {
	t.Parallel()
	parent, err := supervise.FindParent()
	if parent != nil || err != nil || supervise.Supervised() {
		t.Fatalf("a parent %v, %v", parent, err)
	}
	ctx := parent.Watch(t.Context())
	if err := parent.Tell(supervise.Registration{Worker: "w", Lease: 1}); err != nil || ctx.Err() != nil || parent.Close() != nil {
		t.Errorf("without a parent: %v, %v", err, ctx.Err())
	}
}
