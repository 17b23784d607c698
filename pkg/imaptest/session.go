// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package imaptest

import (
	"crypto/subtle"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"
	"github.com/emersion/go-sasl"
)

// session is a memory server's session with live passwords, a UIDVALIDITY that
// changes with each start of the server, and an IDLE that tells also what
// happened just before it.
type session struct {
	*imapmemserver.UserSession // nil before the login

	server  *Server
	conn    *imapserver.Conn
	account *account
}

// Login implements [imapserver.Session].
func (s *session) Login(name, password string) error { return s.login("", name, password) }

// AuthenticateMechanisms implements [imapserver.SessionSASL].
func (*session) AuthenticateMechanisms() []string { return []string{sasl.Plain} }

// Authenticate implements [imapserver.SessionSASL].
func (s *session) Authenticate(mechanism string) (sasl.Server, error) {
	if mechanism != sasl.Plain {
		return nil, &imap.Error{Type: imap.StatusResponseTypeNo, Text: "mechanism not supported"}
	}
	return sasl.NewPlainServer(s.login), nil
}

func (s *session) login(identity, name, password string) error {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	if identity == "" {
		identity = name
	}
	a, want := s.server.accounts[identity], ""
	switch {
	case identity != name && name == s.server.master:
		want = s.server.masterPassword
	case identity != name:
		return &imap.Error{Type: imap.StatusResponseTypeNo, Code: imap.ResponseCodeAuthorizationFailed, Text: "not a master user"}
	case a != nil:
		want = a.password
	}
	if a == nil || want == "" || subtle.ConstantTimeCompare([]byte(want), []byte(password)) != 1 {
		return imapserver.ErrAuthFailed
	}
	s.account = a
	s.UserSession = imapmemserver.NewUserSession(a.user)
	s.server.logins++
	return nil
}

// Select implements [imapserver.Session].
func (s *session) Select(mailbox string, options *imap.SelectOptions) (*imap.SelectData, error) {
	data, err := s.UserSession.Select(mailbox, options)
	if err != nil {
		return nil, err
	}
	data.UIDValidity = s.server.uidValidity
	return data, nil
}

// Status implements [imapserver.Session].
func (s *session) Status(mailbox string, options *imap.StatusOptions) (*imap.StatusData, error) {
	data, err := s.UserSession.Status(mailbox, options)
	if err != nil {
		return nil, err
	}
	if data.UIDValidity != 0 {
		data.UIDValidity = s.server.uidValidity
	}
	return data, nil
}

// Append implements [imapserver.Session].
func (s *session) Append(mailbox string, mail imap.LiteralReader, options *imap.AppendOptions) (*imap.AppendData, error) {
	return s.server.add(s.account, mailbox, mail, options)
}

// Idle implements [imapserver.Session].
func (s *session) Idle(w *imapserver.UpdateWriter, stop <-chan struct{}) error {
	changed := make(chan struct{}, 1)
	s.server.mu.Lock()
	s.account.watchers[changed] = struct{}{}
	s.server.mu.Unlock()
	defer func() {
		s.server.mu.Lock()
		delete(s.account.watchers, changed)
		s.server.mu.Unlock()
	}()
	for {
		if err := s.Poll(w, true); err != nil {
			return err
		}
		select {
		case <-changed:
		case <-stop:
			return nil
		}
	}
}

// Close implements [imapserver.Session].
func (s *session) Close() error {
	s.server.mu.Lock()
	delete(s.server.conns, s.conn)
	s.server.mu.Unlock()
	if s.UserSession == nil {
		return nil
	}
	return s.UserSession.Close()
}

var _ imapserver.SessionSASL = (*session)(nil)
