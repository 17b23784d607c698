// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package dovecottest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// Renumber has Dovecot give a user's INBOX a new UIDVALIDITY, and its mails new UIDs
// from 1, as it does when its files are lost: sessions that are open do not hear of it.
func (s *Server) Renumber(name string) error {
	var lost []string
	for _, pattern := range []string{"dovecot-uidlist", "dovecot.index*"} {
		found, err := filepath.Glob(filepath.Join(s.home(name), "Maildir", pattern))
		if err != nil {
			return fmt.Errorf("renumbering %q: %w", name, err)
		}
		lost = slices.Concat(lost, found)
	}
	for _, file := range lost {
		if err := os.Remove(file); err != nil {
			return fmt.Errorf("renumbering %q: %w", name, err)
		}
	}
	return nil
}

// Swap puts the mail that was set aside in the place of a user's mail, and sets that
// aside, as one does with a backup: sessions that are open go on with what has gone.
// At first there is nothing set aside.
func (s *Server) Swap(name string) error {
	mail, aside := filepath.Join(s.home(name), "Maildir"), filepath.Join(s.home(name), "aside")
	if err := os.Rename(mail, aside+".next"); err != nil {
		return fmt.Errorf("setting the mail of %q aside: %w", name, err)
	}
	if err := os.Rename(aside, mail); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("putting back the mail of %q: %w", name, err)
	}
	if err := os.Rename(aside+".next", aside); err != nil {
		return fmt.Errorf("setting the mail of %q aside: %w", name, err)
	}
	return nil
}

// Lock holds the lock of a user's INBOX in the midst of a delivery, as a session would that
// hangs: a mail lies there that no index has, and whoever looks at the folder waits until
// release is called. The INBOX has been used before.
func (s *Server) Lock(name string) (release func() error, err error) {
	maildir := filepath.Join(s.home(name), "Maildir")
	file, err := os.OpenFile(filepath.Join(maildir, "dovecot.index.log"), os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("locking the INBOX of %q: %w", name, err)
	}
	// A lock of the open file, not of this process: Dovecot's own wait for it all the same.
	if err := unix.FcntlFlock(file.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK}); err != nil {
		return nil, fmt.Errorf("locking the INBOX of %q: %w", name, errors.Join(err, file.Close()))
	}
	var owner unix.Stat_t
	mail := filepath.Join(maildir, "new", "1.locked.example")
	err = os.WriteFile(mail, []byte("Subject: locked\n\n"), 0o600)
	if err == nil {
		err = unix.Fstat(int(file.Fd()), &owner)
	}
	if err == nil {
		err = os.Chown(mail, int(owner.Uid), int(owner.Gid))
	}
	if err != nil {
		return nil, fmt.Errorf("locking the INBOX of %q: %w", name, errors.Join(err, file.Close()))
	}
	return file.Close, nil
}
