// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package dovecottest

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

type userEntry struct {
	uid, gid int
	writes   int
}

// AddUser adds a user with an empty INBOX.
func (s *Server) AddUser(name, password string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users[name] != nil {
		return fmt.Errorf("adding %q: there is one", name)
	}
	home := s.home(name)
	u := new(userEntry)
	u.uid, u.gid = s.owner.mailbox(len(s.users))
	if err := os.Mkdir(home, 0o700); err != nil {
		return fmt.Errorf("adding %q: %w", name, err)
	}
	if err := os.Chown(home, u.uid, u.gid); err != nil {
		return fmt.Errorf("adding %q: %w", name, err)
	}
	if err := s.write("users", name, u, password); err != nil {
		return fmt.Errorf("adding %q: %w", name, err)
	}
	s.users[name] = u
	return nil
}

// SetMaster makes name a master user, who may open all mailboxes, or changes its
// password; sessions go on.
func (s *Server) SetMaster(name, password string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, known := s.masters[name]
	if !known {
		m = new(userEntry)
	}
	if err := s.write("masters", name, m, password); err != nil {
		return fmt.Errorf("setting master user %q: %w", name, err)
	}
	s.masters[name] = m
	if known {
		nextLook()
	}
	return nil
}

// SetPassword changes a user's password; sessions go on.
func (s *Server) SetPassword(name, password string) error { return s.change(name, password) }

// Disable makes Dovecot refuse the user whatever the password; sessions go on.
func (s *Server) Disable(name string) error { return s.change(name, "") }

func (s *Server) change(name, password string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.users[name]
	if u == nil {
		return fmt.Errorf("changing %q: no such user", name)
	}
	if err := s.write("users", name, u, password); err != nil {
		return fmt.Errorf("changing %q: %w", name, err)
	}
	nextLook()
	return nil
}

// nextLook waits until Dovecot looks again at a file it knows, once in each second.
func nextLook() {
	now := time.Now()
	<-time.After(now.Truncate(time.Second).Add(time.Second + 20*time.Millisecond).Sub(now))
}

func (s *Server) home(name string) string { return s.path("mail/" + name) }

// write replaces a user's file in a directory of etc. Dovecot reads it again when its time, in seconds,
// or its size changes: a growing comment sees to that.
func (s *Server) write(kind, name string, u *userEntry, password string) error {
	if strings.ContainsAny(name+password, ":\n/") {
		return errors.New("name or password cannot be written down")
	}
	line := fmt.Sprintf("%s:%s:%d:%d::%s::\n", name, password, u.uid, u.gid, s.home(name))
	if password == "" {
		line = ""
	}
	text := fmt.Sprintf("%-256s\n#%s\n", strings.TrimSpace(line), strings.Repeat("#", u.writes))
	u.writes++
	next := s.path("etc/" + name + "." + kind)
	if err := os.WriteFile(next, []byte(text), 0o644); err != nil { // read by Dovecot's own users
		return err
	}
	return os.Rename(next, s.path("etc/"+kind+"/"+name))
}
