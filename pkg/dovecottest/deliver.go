// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package dovecottest

import (
	"bytes"
	"fmt"
	"net"

	"github.com/emersion/go-smtp"
)

// maxDeliveries is how many LMTP sessions are open at once: beyond, Dovecot's
// socket refuses instead of letting wait.
const maxDeliveries = 8

// Deliver delivers a mail to a user by LMTP, and returns when it is in the INBOX.
// Deliveries side by side wait for each other beyond a few.
func (s *Server) Deliver(user string, message []byte) error {
	s.deliveries <- struct{}{}
	defer func() { <-s.deliveries }()
	conn, err := net.Dial("unix", s.path("run/lmtp"))
	if err != nil {
		return fmt.Errorf("connecting to LMTP: %w", err)
	}
	client := smtp.NewClientLMTP(conn)
	defer func() { _ = client.Close() }() // after Quit there is nothing to lose
	if err := client.SendMail("sender@example.org", []string{user}, bytes.NewReader(message)); err != nil {
		return fmt.Errorf("delivering to %q: %w", user, err)
	}
	if err := client.Quit(); err != nil {
		return fmt.Errorf("ending the delivery to %q: %w", user, err)
	}
	return nil
}
