// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package dovecottest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
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
