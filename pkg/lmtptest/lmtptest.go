// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package lmtptest delivers mail to the mail stores of tests, as their users' mail comes
// (RFC 2033). It is apart from imaptest, which the demo is built with.
package lmtptest

import (
	"bytes"
	"context"
	"fmt"
	"net"

	"github.com/emersion/go-smtp"
)

// Deliver delivers a mail to a user of the mail store that takes LMTP at a unix socket, and
// returns when it is in the INBOX.
func Deliver(ctx context.Context, socket, user string, message []byte) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
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
