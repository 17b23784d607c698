// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package cyrustest

import (
	"context"
	"fmt"

	"github.com/emersion/go-imap/v2/imapclient"

	"mailpush.internal/pkg/lmtptest"
)

// Password is one that Cyrus takes, as it does any other.
const Password = "any"

// AddUser adds a user with an empty INBOX.
func (s *Server) AddUser(name string) error {
	client, err := imapclient.DialInsecure(s.imap, nil)
	if err != nil {
		return fmt.Errorf("connecting to add %q: %w", name, err)
	}
	defer func() { _ = client.Close() }() // after LOGOUT there is nothing to lose
	if err := client.Login("cyrus", Password).Wait(); err != nil {
		return fmt.Errorf("logging in to add %q: %w", name, err)
	}
	if err := client.Create("user/"+name, nil).Wait(); err != nil {
		return fmt.Errorf("adding %q: %w", name, err)
	}
	return client.Logout().Wait()
}

// Deliver delivers a mail to a user by LMTP, and returns when it is in the INBOX.
func (s *Server) Deliver(ctx context.Context, user string, message []byte) error {
	return lmtptest.Deliver(ctx, s.path("run/lmtp"), user, message)
}
