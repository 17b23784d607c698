// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package dovecottest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"time"

	"mailpush.internal/pkg/proctest"
)

func (s *Server) start(binary string) error {
	var err error
	s.process, err = proctest.Start(proctest.Command{
		Path: binary, Args: []string{"-F", "-c", s.path("etc/dovecot.conf")}, Log: s.path("log/dovecot.out"),
		Orphan:     syscall.SIGTERM, // so that its children go with it
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
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", s.imap)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // only looking
	if err := conn.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err == nil && !strings.Contains(line, s.dir) {
		err = fmt.Errorf("another greets: %q", line)
	}
	return err
}

// Stop ends Dovecot and all sessions: its own children survive their master while they
// serve one, but not the end of its process group.
func (s *Server) Stop() error { return s.process.Stop() }

// Drop ends all IMAP sessions without a word, as a crash does; Dovecot goes on.
func (s *Server) Drop() { s.process.KillMembers("imap") }
