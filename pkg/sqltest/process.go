// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package sqltest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

// stopTimeout is how long a server may take to end before it is killed.
const stopTimeout = 10 * time.Second

// owner is who runs a server: nobody special, or the server's own system user when
// the tests run as root, as which database servers refuse to run.
type owner struct {
	name       string
	credential *syscall.Credential
}

func lookup(name string) (owner, error) {
	if os.Geteuid() != 0 {
		return owner{}, nil
	}
	account, err := user.Lookup(name)
	if err != nil {
		return owner{}, missing("the system user "+name, err)
	}
	uid, uidErr := strconv.ParseUint(account.Uid, 10, 32)
	gid, gidErr := strconv.ParseUint(account.Gid, 10, 32)
	if err := errors.Join(uidErr, gidErr); err != nil {
		return owner{}, fmt.Errorf("reading the ids of %s: %w", name, err)
	}
	return owner{name: name, credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
}

// missing says what to do about something that is not installed.
func missing(what string, err error) error {
	return fmt.Errorf("%s is missing (%w): `make test` or scripts/install-test-deps installs what tests need; "+
		"-short or %s=sqlite runs them on SQLite only", what, err, OnlyEnv)
}

// directory makes a private directory for a server.
func (o owner) directory(parent, prefix string) (string, error) {
	dir, err := os.MkdirTemp(parent, prefix)
	if err != nil {
		return "", fmt.Errorf("making a server's directory: %w", err)
	}
	return dir, o.own(dir)
}

func (o owner) own(path string) error {
	if o.credential == nil {
		return nil
	}
	if err := os.Chown(path, int(o.credential.Uid), int(o.credential.Gid)); err != nil {
		return fmt.Errorf("giving a server its files: %w", err)
	}
	return nil
}

// attributes also make the kernel send death to the child when its parent dies.
func (o owner) attributes(death syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: o.credential, Pdeathsig: death}
}

// environment is what a server sees: none of the tests' own settings.
func environment() []string {
	return []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "TZ=UTC"}
}

// runner runs a program in dir until it ends; what it said is part of the error.
func (o owner) runner(dir string) func(ctx context.Context, name string, args ...string) error {
	return func(ctx context.Context, name string, args ...string) error {
		cmd := exec.CommandContext(ctx, name, args...)
		cmd.Dir, cmd.Env, cmd.SysProcAttr = dir, environment(), o.attributes(syscall.SIGKILL)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("running %s as %q: %w: %s", filepath.Base(name), o.name, err, bytes.TrimSpace(out))
		}
		return nil
	}
}

// command is a server to be run, and the signal that ends it at once.
type command struct {
	path string
	args []string
	end  syscall.Signal
}

// process is a running server.
type process struct {
	log    string
	pid    int
	end    syscall.Signal
	exited chan struct{}
	err    error // why it ended; read it after exited
}

// launch starts a server. Its goroutine keeps its thread for as long as the server
// runs: the kernel takes the end of the thread that started it for the parent's death.
func (o owner) launch(dir string, c *command) (*process, error) {
	p := &process{log: filepath.Join(dir, "server.log"), end: c.end, exited: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.exited)
		p.err = o.run(dir, c, p, started)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

func (o owner) run(dir string, c *command, p *process, started chan<- error) error {
	log, err := os.Create(p.log)
	if err != nil {
		started <- err
		return err
	}
	defer log.Close()
	cmd := exec.Command(c.path, c.args...) // stop ends it, no context does
	cmd.Dir, cmd.Env, cmd.SysProcAttr = dir, environment(), o.attributes(c.end)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		started <- err
		return err
	}
	p.pid = cmd.Process.Pid
	started <- nil
	return cmd.Wait()
}

// await returns when the server answers, has ended, or ctx has.
func (p *process) await(ctx context.Context, ping func(context.Context) error) error {
	retry := time.NewTicker(20 * time.Millisecond)
	defer retry.Stop()
	for {
		err := ping(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.exited:
			said, _ := os.ReadFile(p.log) // best effort, it only explains
			return fmt.Errorf("it ended: %w: %s", p.err, said[max(0, len(said)-2000):])
		case <-ctx.Done():
			return fmt.Errorf("it does not answer: %w", err)
		case <-retry.C:
		}
	}
}

// stop ends the server: its data is not worth an orderly shutdown.
func (p *process) stop() error {
	for _, signal := range []syscall.Signal{p.end, syscall.SIGKILL} {
		select {
		case <-p.exited:
			return nil
		default:
		}
		if err := syscall.Kill(p.pid, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("stopping process %d: %w", p.pid, err)
		}
		select {
		case <-p.exited:
			return nil
		case <-time.After(stopTimeout):
		}
	}
	return fmt.Errorf("process %d does not end", p.pid)
}
