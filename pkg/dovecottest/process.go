// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package dovecottest

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"mailpush.internal/pkg/imaptest"
	"mailpush.internal/pkg/proctest"
)

func (s *Server) start() error {
	var err error
	s.process, err = proctest.Start(proctest.Command{
		Path: s.program.path, Args: []string{"-F", "-c", s.path("etc/dovecot.conf")}, Log: s.path("log/dovecot.out"),
		Orphan:     syscall.SIGTERM, // so that its children go with it
		Stop:       syscall.SIGKILL, // asked nicely, the master waits for each child, and some take long
		StopWithin: stopTimeout,
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	if err := s.process.Await(ctx, "Dovecot's greeting", s.greets); err != nil {
		return errors.Join(fmt.Errorf("%w\n%s", err, s.Log()), s.Stop())
	}
	return nil
}

// greets tells whether this very server answers: its greeting names its directory.
func (s *Server) greets(ctx context.Context) error {
	return imaptest.Greets(ctx, s.imap, s.dir, time.Second)
}

// Stop ends Dovecot and all sessions: its own children survive their master while they
// serve one, but not the end of its process group.
func (s *Server) Stop() error { return s.process.Stop() }

// StartAgain starts a Dovecot that was stopped, at the same addresses and with the mail it
// had, and returns once it greets.
func (s *Server) StartAgain() error {
	if err := s.start(); err != nil {
		return fmt.Errorf("starting Dovecot again: %w", err)
	}
	return nil
}

// Drop ends all IMAP sessions; Dovecot goes on. They are not killed: a session that dies
// while it writes a mailbox's list of UIDs leaves it locked for two minutes.
func (s *Server) Drop() { s.process.EndMembers("imap", syscall.SIGTERM) }

// CPU is the processor time that all of its processes have used.
func (s *Server) CPU() time.Duration { return s.process.GroupCPU() }
