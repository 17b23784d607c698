// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package cyrustest runs a private Cyrus for tests: a real IMAP server, delivery by LMTP,
// and datagrams that tell of new mail (mailnotify), sent to a unix socket of the test's.
//
// Invariant: everything a Server is lives in its own directory, on loopback, and no process
// of it outlives Stop.
//
// `make test-cyrus` has the programs: scripts/unpack-debian unpacks them, and [ProgramEnv]
// names what it made. Without that nothing of this can run.
package cyrustest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"mailpush.internal/pkg/imaptest"
	"mailpush.internal/pkg/proctest"
)

// ProgramEnv is the environment variable that names the program that runs Cyrus' master.
const ProgramEnv = "MAILPUSH_TEST_CYRUS"

const (
	startTimeout = 30 * time.Second
	stopTimeout  = 10 * time.Second
	// startAttempts is for a port that another took between its choice and the start.
	startAttempts = 3
	// nobody is who Cyrus runs as where root starts it.
	nobody = 65534
)

// Class is what a datagram tells of: mail as such, or an event as JSON (RFC 5423).
type Class string

// The classes of datagrams.
const (
	Mail  Class = "mailnotifier"
	Event Class = "event_notifier"
)

// Server is a running Cyrus. It is safe for concurrent use.
type Server struct {
	dir     string
	account string // runs it
	imap    string // host:port
	process *proctest.Process
}

// Available tells whether there is a Cyrus to run.
func Available() bool { return os.Getenv(ProgramEnv) != "" }

// Start starts a Cyrus that ends with the test. It sends datagrams of a class to the
// socket it returns, which the caller closes.
func Start(tb testing.TB, class Class) (*Server, net.PacketConn) {
	tb.Helper()
	//nolint:usetesting // its sockets need a short path, and its user one to pass through
	dir, err := os.MkdirTemp("", "cyrus-")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			tb.Errorf("removing Cyrus' directory: %v", err)
		}
	})
	s := &Server{dir: dir}
	socket, err := s.prepare(tb.Context())
	if err != nil {
		tb.Fatalf("preparing Cyrus: %v", err)
	}
	for range startAttempts {
		if err = s.start(tb.Context(), class); err == nil {
			break
		}
	}
	if err != nil {
		_ = socket.Close() // the error is what counts
		tb.Fatalf("starting Cyrus: %v", err)
	}
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("log of Cyrus:\n%s", s.process.Log())
		}
		if err := s.process.Stop(); err != nil {
			tb.Errorf("stopping Cyrus: %v", err)
		}
	})
	return s, socket
}

// prepare makes the directories, and the socket that Cyrus sends to.
func (s *Server) prepare(ctx context.Context) (net.PacketConn, error) {
	self, err := user.Current()
	if err != nil {
		return nil, err
	}
	s.account = self.Username
	if err := os.Chmod(s.dir, 0o755); err != nil { //nolint:gosec // Cyrus' user passes through
		return nil, err
	}
	for _, name := range []string{"", "run", "config", "config/db", "config/socket", "config/proc", "spool", "sieve"} {
		if err := os.MkdirAll(s.path(name), 0o755); err != nil { //nolint:gosec // another user's processes look in
			return nil, err
		}
		if os.Geteuid() == 0 {
			s.account = "nobody"
			if err := os.Chown(s.path(name), nobody, nobody); err != nil {
				return nil, err
			}
		}
	}
	socket, err := (&net.ListenConfig{}).ListenPacket(ctx, "unixgram", s.path("run/notify"))
	if err != nil {
		return nil, err
	}
	return socket, os.Chmod(s.path("run/notify"), 0o777) //nolint:gosec // Cyrus runs as another user
}

func (s *Server) start(ctx context.Context, class Class) error {
	program := os.Getenv(ProgramEnv)
	if program == "" {
		return errors.New(ProgramEnv + " names no program: run make test-cyrus")
	}
	free, err := proctest.FreeAddresses(ctx, "127.0.0.1", 1)
	if err != nil {
		return err
	}
	s.imap = free[0]
	if err := s.configure(class); err != nil {
		return fmt.Errorf("writing the configuration: %w", err)
	}
	s.process, err = proctest.Start(proctest.Command{
		Path: program, Name: "cyrus", Log: s.path("log"),
		Args:   []string{"-C", s.path("imapd.conf"), "-M", s.path("cyrus.conf"), "-p", s.path("run/pid"), "-D"},
		Orphan: syscall.SIGTERM, StopWithin: stopTimeout,
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := s.process.Await(ctx, "Cyrus' greeting", s.greets); err != nil {
		return errors.Join(err, s.process.Stop())
	}
	return nil
}

// greets tells whether this very server answers: its greeting has the name of its directory.
func (s *Server) greets(ctx context.Context) error {
	return imaptest.Greets(ctx, s.imap, s.name(), 5*time.Second)
}

func (s *Server) path(name string) string { return filepath.Join(s.dir, name) }

// name is what the server calls itself.
func (s *Server) name() string { return filepath.Base(s.dir) + ".example" }

// Addr is where IMAP is served, without TLS.
func (s *Server) Addr() string { return s.imap }
