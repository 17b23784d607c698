// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package proctest_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mailpush.internal/pkg/proctest"
)

// parentRole as only argument makes this program one that starts a child and waits to
// be killed.
const parentRole = "proctest-parent"

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == parentRole {
		child, err := proctest.Start(proctest.Command{Path: "/bin/sh", Args: []string{"-c", "exec sleep 1000"}})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Fprintln(os.Stdout, "child", child.Pid())
		<-child.Ended()
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// patience bounds each wait for something that is expected to happen.
const patience = time.Minute

// shell starts a script and waits until it has said that it is ready.
func shell(t *testing.T, script string, change func(*proctest.Command)) *proctest.Process {
	t.Helper()
	ready := make(chan string, 100)
	c := proctest.Command{
		Path: "/bin/sh", Args: []string{"-c", script}, Name: "the script",
		Log:  filepath.Join(t.TempDir(), "script.log"),
		Look: func(line []byte) { ready <- string(line) },
	}
	if change != nil {
		change(&c)
	}
	p, err := proctest.Start(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	for {
		select {
		case line := <-ready:
			if line == "ready" {
				return p
			}
		case <-p.Ended():
			return p
		case <-time.After(patience):
			t.Fatal("it is not ready")
		}
	}
}

// alive tells whether a process is there and no zombie.
func alive(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(text), ") Z ")
}

// childOf is the process id that a script has logged.
func childOf(t *testing.T, p *proctest.Process) int {
	t.Helper()
	for line := range strings.Lines(p.Log()) {
		if rest, ok := strings.CutPrefix(line, "child "); ok {
			pid, err := strconv.Atoi(strings.TrimSpace(rest))
			if err != nil {
				t.Fatal(err)
			}
			return pid
		}
	}
	t.Fatalf("no child in the log:\n%s", p.Log())
	return 0
}

// A script that leaves a child behind, in each way it can end: the child is gone, too.
func TestEverythingEndsWithItsLeader(t *testing.T) {
	t.Parallel()
	const child = `sleep 1000 & echo child $!; `
	for name, test := range map[string]struct {
		script string
		end    func(*proctest.Process) error
		want   string // in the error; empty for none
	}{
		"stop":           {child + `echo ready; wait`, (*proctest.Process).Stop, ""},
		"stop, in order": {child + `trap 'exit 0' TERM; echo ready; wait`, (*proctest.Process).Stop, ""},
		"stop, badly":    {child + `trap 'exit 3' TERM; echo ready; wait`, (*proctest.Process).Stop, "exit status 3"},
		"stop, too late": {child + `trap '' TERM; echo ready; wait`, (*proctest.Process).Stop, "did not end within 100ms"},
		"kill":           {child + `echo ready; wait`, func(p *proctest.Process) error { p.Kill(); return p.Err() }, "signal: killed"},
		"by itself":      {child + `echo ready; exit 5`, (*proctest.Process).Err, "exit status 5"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := shell(t, test.script, func(c *proctest.Command) {
				if strings.HasSuffix(name, "too late") {
					c.StopWithin = 100 * time.Millisecond
				}
			})
			err := test.end(p)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
			if pid := childOf(t, p); alive(pid) || alive(p.Pid()) {
				t.Error("a process is left")
			}
		})
	}
}

// A process dies with the one that started it, even if that is killed.
func TestProcessDiesWithItsParent(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	said := make(chan string, 1)
	parent, err := proctest.Start(proctest.Command{
		Path: self, Args: []string{parentRole}, Log: filepath.Join(t.TempDir(), "parent.log"),
		Look: func(line []byte) { said <- string(line) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(parent.Kill)
	select {
	case <-said:
	case <-time.After(patience):
		t.Fatal("no child")
	}
	// In a group of its own: it is not found with the parent's.
	child := childOf(t, parent)
	if !alive(child) {
		t.Fatal("the child has ended by itself")
	}
	parent.Kill()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := proctest.Await(ctx, "the child's end", func(context.Context) error {
		if alive(child) {
			return errors.New("it lives")
		}
		return nil
	}); err != nil {
		t.Error(err)
		_ = syscall.Kill(child, syscall.SIGKILL)
	}
}

func TestAwaitTellsOfAnEnd(t *testing.T) {
	t.Parallel()
	p := shell(t, `echo no configuration >&2; exit 1`, nil)
	err := p.Await(t.Context(), "an answer", func(context.Context) error { return errors.New("none") })
	if err == nil || !strings.Contains(err.Error(), "the script has ended: exit status 1\nno configuration") {
		t.Errorf("%v", err)
	}
}

func TestAwaitTellsWhatWasWrongLast(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	tries := 0
	err := proctest.Await(ctx, "an answer", func(context.Context) error {
		if tries++; tries == 2 {
			cancel()
			return ctx.Err()
		}
		return errors.New("none")
	})
	if err == nil || err.Error() != "waiting for an answer: none" {
		t.Errorf("%v", err)
	}
}

func TestLinesAreSeenAndLogged(t *testing.T) {
	t.Parallel()
	var seen []string
	p := shell(t, `echo one; echo two >&2; printf half; printf ' and half\n'; printf end`, func(c *proctest.Command) {
		c.Look = func(line []byte) { seen = append(seen, string(line)) }
	})
	if err := p.Err(); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(seen, "|"); got != "one|two|half and half" {
		t.Errorf("seen: %q", got)
	}
	if got := p.Log(); got != "one\ntwo\nhalf and half\nend" {
		t.Errorf("logged: %q", got)
	}
}

func TestPausedProcessStandsStill(t *testing.T) {
	t.Parallel()
	p := shell(t, `trap 'exit 0' TERM; echo ready; while :; do sleep 0.01; done`, nil)
	if err := p.Pause(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := p.Await(ctx, "the stop", func(context.Context) error {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.Pid()))
		if err == nil && !strings.Contains(string(text), ") T ") {
			err = errors.New("it runs")
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(p.Resume(), p.Stop()); err != nil {
		t.Error(err)
	}
}

func TestEndMembersSparesOthers(t *testing.T) {
	t.Parallel()
	p := shell(t, `sleep 1000 & echo child $!; echo ready; wait; echo alone; exec tail -f /dev/null`, nil)
	child := childOf(t, p)
	p.EndMembers("sleep", syscall.SIGTERM)
	if alive(child) {
		t.Error("it lives")
	}
	if !alive(p.Pid()) {
		t.Error("the others are gone, too")
	}
}

func TestStartTellsWhatIsMissing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]proctest.Command{
		"no such program": {Path: "/nonexistent/program"},
		"no place to log": {Path: "/bin/true", Log: "/nonexistent/log"},
	} {
		if _, err := proctest.Start(c); err == nil || !strings.Contains(err.Error(), "/nonexistent/") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFreeAddressesDiffer(t *testing.T) {
	t.Parallel()
	found, err := proctest.FreeAddresses(t.Context(), "127.0.0.2", 8)
	if err != nil {
		t.Fatal(err)
	}
	seen, bound := map[string]bool{}, 0
	for _, address := range found {
		if seen[address] || !strings.HasPrefix(address, "127.0.0.2:") {
			t.Errorf("%s is not another one at 127.0.0.2", address)
		}
		seen[address] = true
		listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", address)
		switch {
		case err == nil:
			bound++
			_ = listener.Close()
		case !errors.Is(err, syscall.EADDRINUSE): // another process may have been quicker
			t.Error(err)
		}
	}
	if len(found) != 8 || bound < len(found)/2 {
		t.Errorf("%d addresses, %d of them free", len(found), bound)
	}
}
