// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package dovecottest

import (
	"context"

	"mailpush.internal/pkg/lmtptest"
)

// maxDeliveries is how many LMTP sessions are open at once: beyond, Dovecot's
// socket refuses instead of letting wait.
const maxDeliveries = 8

// Deliver delivers a mail to a user by LMTP, and returns when it is in the INBOX.
// Deliveries side by side wait for each other beyond a few.
func (s *Server) Deliver(user string, message []byte) error {
	s.deliveries <- struct{}{}
	defer func() { <-s.deliveries }()
	return lmtptest.Deliver(context.Background(), s.path("run/lmtp"), user, message)
}
