// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package proctest runs programs as child processes, for tests, trials and benchmarks.
//
// Invariant: a process ends when the process that started it dies, in whatever way; and
// when it has ended, by Stop, by Kill or by itself, nothing is left of its process group.
package proctest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

const (
	// stopTimeout is how long a process may take to end in order, if it is not said.
	stopTimeout = 20 * time.Second
	// tail is how much of a log explains why a process has ended.
	tail = 4000
)

// Command is a program to be run. Path must be set.
type Command struct {
	Path string
	Args []string
	Name string   // in errors and reports; the file name of Path when empty
	Dir  string   // to run in; that of this process when empty
	Env  []string // nil: that of this process

	// Log is a file to whose end goes what the process writes; this process's standard
	// error when empty.
	Log string
	// Look is told each line the process writes, one after the other. May be nil.
	Look func(line []byte)

	Credential *syscall.Credential // whom to run it as; nil: who runs this process
	Stop       syscall.Signal      // asks it to end; SIGTERM when 0
	Orphan     syscall.Signal      // what it gets when this process dies; SIGKILL when 0
	StopWithin time.Duration       // after which Stop kills it; 20 s when 0
}

// Process is a running program, the leader of a process group of its own. It is safe
// for concurrent use.
type Process struct {
	command Command
	cmd     *exec.Cmd
	ended   chan struct{}
	err     error // how it ended; read it after ended
}

// Start starts a program.
func Start(c Command) (*Process, error) {
	if c.Name == "" {
		c.Name = filepath.Base(c.Path)
	}
	if c.Stop == 0 {
		c.Stop = syscall.SIGTERM
	}
	if c.Orphan == 0 {
		c.Orphan = syscall.SIGKILL
	}
	if c.StopWithin == 0 {
		c.StopWithin = stopTimeout
	}
	p := &Process{command: c, ended: make(chan struct{})}
	started := make(chan error, 1)
	go p.run(started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting %s: %w", c.Name, err)
	}
	return p, nil
}

// run starts the program, waits for its end and sees to the rest of its group. It keeps
// its thread until then: the kernel takes the end of the thread that started a child for
// the death of the child's parent.
func (p *Process) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(p.ended)
	log, err := p.openLog()
	if err != nil {
		started <- err
		return
	}
	defer log.close()
	p.cmd = exec.Command(p.command.Path, p.command.Args...) //nolint:noctx,gosec // Stop and Kill end it, no context does; it is what the caller names
	p.cmd.Dir, p.cmd.Env = p.command.Dir, p.command.Env
	p.cmd.Stdout, p.cmd.Stderr = log.writer, log.writer
	p.cmd.WaitDelay = time.Second // for what its own children still hold of its output
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.command.Credential, Pdeathsig: p.command.Orphan, Setpgid: true}
	err = p.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	p.err = p.cmd.Wait()
	if errors.Is(p.err, exec.ErrWaitDelay) {
		p.err = nil // it has ended well, its children go now
	}
	if err := endGroup(p.Pid()); err != nil {
		p.err = errors.Join(p.err, err)
	}
}

// Name is what the process is called.
func (p *Process) Name() string { return p.command.Name }

// Pid is the id of the process and of its group.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Ended is closed when the process and all of its group are gone.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Err waits for the end and tells how it was: nil for an exit code of 0 with nothing
// left behind that cannot be killed.
func (p *Process) Err() error {
	<-p.ended
	return p.err
}

// how tells, of a process that has ended, how.
func (p *Process) how() error {
	if p.err == nil {
		return fmt.Errorf("%s has ended by itself", p.Name())
	}
	return fmt.Errorf("%s has ended: %w", p.Name(), p.err)
}

// Stop asks the process to end, kills it when it takes too long, and waits until its
// group is gone. The error tells of an end that was not in order.
func (p *Process) Stop() error {
	_ = p.cmd.Process.Signal(p.command.Stop) // it may have ended
	late := time.NewTimer(p.command.StopWithin)
	defer late.Stop()
	select {
	case <-p.ended:
	case <-late.C:
		p.Kill()
		return fmt.Errorf("stopping %s: killed, it did not end within %s", p.Name(), p.command.StopWithin)
	}
	if p.err != nil && !p.obeyed() {
		return fmt.Errorf("stopping %s: %w", p.Name(), p.err)
	}
	return nil
}

// obeyed tells whether the process ended by the signal it was asked to end with, which
// is how a program does that has no other plan for it.
func (p *Process) obeyed() bool {
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == p.command.Stop
}

// Kill ends the process as a crash does, and waits until its group is gone.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.ended
}

// Pause has the process stand still until Resume.
func (p *Process) Pause() error { return p.cmd.Process.Signal(syscall.SIGSTOP) }

// Resume lets a process go on that stands still.
func (p *Process) Resume() error { return p.cmd.Process.Signal(syscall.SIGCONT) }

// Log returns what is in the log of the process.
func (p *Process) Log() string {
	if p.command.Log == "" {
		return ""
	}
	text, err := os.ReadFile(p.command.Log)
	if err != nil {
		return err.Error()
	}
	return string(text)
}
