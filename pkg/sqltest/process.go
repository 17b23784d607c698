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
	"strconv"
	"syscall"
	"time"

	"mailpush.internal/pkg/proctest"
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

// environment is what a server sees: none of the tests' own settings.
func environment() []string {
	return []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "TZ=UTC"}
}

// runner runs a program in dir until it ends; what it said is part of the error.
func (o owner) runner(dir string) func(ctx context.Context, name string, args ...string) error {
	return func(ctx context.Context, name string, args ...string) error {
		cmd := exec.CommandContext(ctx, name, args...)
		cmd.Dir, cmd.Env = dir, environment()
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: o.credential, Pdeathsig: syscall.SIGKILL}
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("running %s as %q: %w: %s", filepath.Base(name), o.name, err, bytes.TrimSpace(out))
		}
		return nil
	}
}

// serve starts a server. Its data is not worth an orderly shutdown: end is the signal
// that ends it at once, and with its helper processes.
func (o owner) serve(dir, program string, end syscall.Signal, args ...string) (*proctest.Process, error) {
	return proctest.Start(proctest.Command{
		Path: program, Args: args, Dir: dir, Env: environment(), Log: filepath.Join(dir, "server.log"),
		Credential: o.credential, Stop: end, Orphan: end, StopWithin: stopTimeout,
	})
}
