// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package sqltest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path"
	"strings"
	"syscall"
	"time"

	"mailpush.internal/pkg/proctest"
	"mailpush.internal/pkg/secret"
)

const (
	// startTimeout is generous: a start takes two seconds, on a machine that does
	// nothing else.
	startTimeout = time.Minute
	// attempts bounds how often a start is tried again: the free port it was given
	// may be taken by the time it listens.
	attempts = 3

	superuser = "mailpush"
)

// Server is a private database server on a random loopback port. It is safe for
// concurrent use.
type Server struct {
	dir      string
	process  *proctest.Process
	admin    *sql.DB
	address  url.URL // without the database
	dropping string  // the statement that drops a database, with %s for its name

	open    func(address url.URL, database string) (*sql.DB, error)
	serve   func(port string) (*proctest.Process, error)
	orderly syscall.Signal // has it end in order, with connections open
}

// engine is what differs between the servers.
type engine struct {
	user     string // the system user who runs it when the tests run as root
	scheme   string
	dropping string
	orderly  syscall.Signal
	prepare  func(ctx context.Context, site site) error
	serve    func(owner owner, site site, port string) (*proctest.Process, error)
	open     func(address url.URL, database string) (*sql.DB, error) // empty: the server's own
}

// site is where a server lives before it runs.
type site struct {
	dir      string
	password string
	run      func(ctx context.Context, name string, args ...string) error
}

// start makes a server in a new directory inside dir, the system's temporary
// directory when dir is empty.
func (e engine) start(dir string) (_ *Server, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	owner, err := lookup(e.user)
	if err != nil {
		return nil, err
	}
	own, err := owner.directory(dir, "mailpush-"+e.scheme+"-")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(own) // the error that counts is err
		}
	}()
	site := site{dir: own, password: rand.Text(), run: owner.runner(own)}
	if err := e.prepare(ctx, site); err != nil {
		return nil, fmt.Errorf("preparing a %s server: %w", e.scheme, err)
	}
	var failures error
	for range attempts {
		server, err := e.launch(ctx, owner, site)
		if err == nil {
			return server, nil
		}
		failures = errors.Join(failures, err)
	}
	return nil, fmt.Errorf("starting a %s server: %w", e.scheme, failures)
}

func (e engine) launch(ctx context.Context, owner owner, site site) (*Server, error) {
	free, err := proctest.FreeAddresses(ctx, "127.0.0.1", 1)
	if err != nil {
		return nil, err
	}
	address := url.URL{
		Scheme: e.scheme,
		User:   url.UserPassword(superuser, site.password),
		Host:   free[0],
	}
	admin, err := e.open(address, "")
	if err != nil {
		return nil, err
	}
	server := &Server{
		dir: site.dir, admin: admin, address: address, dropping: e.dropping, orderly: e.orderly, open: e.open,
		serve: func(port string) (*proctest.Process, error) { return e.serve(owner, site, port) },
	}
	if err := server.Up(ctx); err != nil {
		return nil, errors.Join(err, admin.Close())
	}
	return server, nil
}

// Up starts the server, again after Down: at the same address, with the same databases.
func (s *Server) Up(ctx context.Context) error {
	running, err := s.serve(s.address.Port())
	if err != nil {
		return err
	}
	if err := running.Await(ctx, "an answer", s.admin.PingContext); err != nil {
		running.Kill()
		return err
	}
	s.process = running
	return nil
}

// Down stops the server: connections break, and new ones are refused until it is Up. It
// keeps what was committed, which [Server.Stop] has no time for.
func (s *Server) Down() error {
	if err := syscall.Kill(s.process.Pid(), s.orderly); err != nil {
		return fmt.Errorf("stopping a server: %w", err)
	}
	late := time.NewTimer(startTimeout)
	defer late.Stop()
	select {
	case <-s.process.Ended():
		return nil
	case <-late.C:
		return fmt.Errorf("stopping a server: it did not end within %s", startTimeout)
	}
}

// NewDatabase makes an empty database and returns its address for sqldb.Open and a
// function that drops it.
func (s *Server) NewDatabase(ctx context.Context) (dsn secret.String, drop func() error, err error) {
	name := "t_" + strings.ToLower(rand.Text())
	if _, err := s.admin.ExecContext(ctx, "CREATE DATABASE "+name); err != nil {
		return secret.String{}, nil, fmt.Errorf("making a database for a test: %w", err)
	}
	drop = func() error {
		_, err := s.admin.ExecContext(context.WithoutCancel(ctx), fmt.Sprintf(s.dropping, name))
		if err != nil {
			return fmt.Errorf("dropping the database of a test: %w", err)
		}
		return nil
	}
	return secret.New(s.address.JoinPath(name).String()), drop, nil
}

// Exec runs a statement in a database that NewDatabase has made, for what no program does
// that is under test, and tells how many rows it has changed.
func (s *Server) Exec(ctx context.Context, dsn secret.String, statement string) (rows int64, err error) {
	address, err := url.Parse(dsn.Reveal())
	if err != nil {
		return 0, errors.New("running a statement: the address cannot be read") // which holds a password
	}
	db, err := s.open(s.address, path.Base(address.Path))
	if err != nil {
		return 0, fmt.Errorf("running a statement: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	done, err := db.ExecContext(ctx, statement)
	if err != nil {
		return 0, fmt.Errorf("running a statement: %w", err)
	}
	return done.RowsAffected()
}

// Stop ends the server and removes its files.
func (s *Server) Stop() error {
	return errors.Join(s.admin.Close(), s.process.Stop(), os.RemoveAll(s.dir))
}
