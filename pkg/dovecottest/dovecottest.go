// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package dovecottest runs a private Dovecot for tests: a real IMAP server with TLS, real
// mailboxes, delivery by LMTP, the doveadm HTTP API, and announcements of new mail by HTTP
// where they are asked for.
//
// It is the Dovecot that is installed, or the one whose program [ProgramEnv] names. That
// says itself which version it is: 2.3 and 2.4 are configured in different languages, and
// do the same here. `make test-dovecot24` runs the tests on 2.4.
//
// Invariant: everything a Server is lives in its own directory, on loopback, and
// no process of it outlives Stop. Where Dovecot is missing there is an error, and
// never a test that quietly did not run.
//
// It needs no root. Run by root, each mailbox has a system user of its own; run by
// another, that user owns them all. The difference is in how many sessions hear of
// mail at once: the kernel gives each user 128 inotify instances by default
// (fs.inotify.max_user_instances), to all programs of the user together, and each
// session in IDLE takes one. Sessions beyond find new mail by polling, in up to 30
// seconds.
package dovecottest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"mailpush.internal/pkg/imaptest"
	"mailpush.internal/pkg/proctest"
	"mailpush.internal/pkg/secret"
)

const (
	startTimeout = 20 * time.Second
	stopTimeout  = 5 * time.Second
	// startAttempts is for ports that another took between their choice and the start.
	startAttempts = 3
)

// Server is a running Dovecot. It is safe for concurrent use.
type Server struct {
	dir         string
	program     program
	owner       owner
	options     Options
	key         secret.String // of doveadm
	imap, imaps string        // host:port
	doveadm     string        // host:port
	certificate imaptest.Certificate
	process     *proctest.Process
	deliveries  chan struct{} // one place for each LMTP session

	mu      sync.Mutex
	users   map[string]*userEntry
	masters map[string]*userEntry
}

// Options change what a Dovecot is like.
type Options struct {
	// NotifyURL is where new mail is announced by HTTP, of mailboxes that are registered
	// for it (push_notification, driver ox); empty for nowhere.
	NotifyURL string
	// NoMetadata has it keep no annotations (RFC 5464), in which that is registered.
	NoMetadata bool
}

// Start starts a Dovecot that ends with the test.
func Start(tb testing.TB) *Server {
	tb.Helper()
	return StartWith(tb, Options{})
}

// StartWith is Start with options.
func StartWith(tb testing.TB, options Options) *Server {
	tb.Helper()
	//nolint:usetesting // its sockets need a short path, and its users one to pass through
	dir, err := os.MkdirTemp("", "dovecot-")
	if err != nil {
		tb.Fatal(err)
	}
	s, err := NewWith(dir, options)
	if err != nil {
		_ = os.RemoveAll(dir) // the error is what counts
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("log of Dovecot:\n%s", s.Log())
		}
		if err := s.Stop(); err != nil {
			tb.Errorf("stopping Dovecot: %v", err)
		}
		if err := os.RemoveAll(dir); err != nil {
			tb.Errorf("removing Dovecot's directory: %v", err)
		}
	})
	return s
}

// New starts a Dovecot in a directory, and gives it the mode that lets the system
// users of mailboxes pass through. The caller calls Stop and then removes the
// directory.
func New(dir string) (*Server, error) { return NewWith(dir, Options{}) }

// NewWith is New with options.
func NewWith(dir string, options Options) (*Server, error) {
	program, err := findProgram(context.Background())
	if err != nil {
		return nil, err
	}
	owner, err := currentOwner()
	if err != nil {
		return nil, err
	}
	s := &Server{
		dir: dir, program: program, owner: owner, options: options, key: secret.New(rand.Text()), deliveries: make(chan struct{}, maxDeliveries),
		users: make(map[string]*userEntry), masters: make(map[string]*userEntry),
	}
	for range startAttempts {
		if err = s.prepare(); err != nil {
			return nil, fmt.Errorf("preparing Dovecot: %w", err)
		}
		if err = s.start(); err == nil {
			return s, nil
		}
	}
	return nil, fmt.Errorf("starting Dovecot: %w", err)
}

// prepare writes the configuration.
func (s *Server) prepare() error {
	if err := os.Chmod(s.dir, 0o755); err != nil { // mailbox users pass through
		return err
	}
	for _, sub := range []string{"run", "state", "etc/users", "etc/masters", "mail", "log"} {
		if err := os.MkdirAll(filepath.Join(s.dir, sub), 0o755); err != nil {
			return err
		}
	}
	free, err := proctest.FreeAddresses(context.Background(), "127.0.0.1", 3)
	if err != nil {
		return err
	}
	s.imap, s.imaps, s.doveadm = free[0], free[1], free[2]
	if s.certificate, err = imaptest.NewCertificate(24*time.Hour, "localhost", "127.0.0.1"); err != nil {
		return err
	}
	text, err := s.configuration()
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(s.path("etc/cert.pem"), s.certificate.Cert, 0o600),
		os.WriteFile(s.path("etc/key.pem"), s.certificate.Key, 0o600),
		os.WriteFile(s.path("etc/dovecot.conf"), text, 0o600),
	)
}

func (s *Server) path(name string) string { return filepath.Join(s.dir, name) }

// Addr is where IMAP without TLS, and with STARTTLS, is served.
func (s *Server) Addr() string { return s.imap }

// TLSAddr is where IMAP with TLS from the first byte is served.
func (s *Server) TLSAddr() string { return s.imaps }

// DoveadmURL is where the doveadm HTTP API is, DoveadmKey what opens it.
func (s *Server) DoveadmURL() string { return "http://" + s.doveadm + "/doveadm/v1" }

// DoveadmKey is the doveadm_api_key.
func (s *Server) DoveadmKey() secret.String { return s.key }

// CA is the certificate to trust, in PEM.
func (s *Server) CA() []byte { return s.certificate.Cert }

// Log returns what Dovecot has logged.
func (s *Server) Log() string {
	text, err := os.ReadFile(s.path("log/dovecot.log"))
	if err != nil {
		return err.Error()
	}
	return string(text)
}
