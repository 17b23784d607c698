// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package imap

import (
	"context"

	"mailpush.internal/pkg/fault"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/listen"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// Baseline opens a mailbox once, tells where it ends, and logs out. Error kinds:
// fault.Unauthenticated when the credential was refused, fault.Unavailable for
// anything else; the message says which.
func (s *Source) Baseline(ctx context.Context, store *mailv1.MailStore, login mailbox.Login) (mailbox.End, error) {
	c, opening, failure := s.open(ctx, store, func(context.Context) (mailbox.Login, error) { return login, nil }, listen.Nobody{})
	if failure != nil {
		kind := fault.Unavailable
		switch failure.Class {
		case mailbox.ClassRefused, mailbox.ClassUnexplained, mailbox.ClassMasterRefused:
			kind = fault.Unauthenticated
		default:
		}
		return mailbox.End{}, fault.Wrap(kind, failure, "%s", failure.Reason)
	}
	defer c.Close()
	c.wake()
	defer c.mu.Unlock()
	c.within(stepLogout, min(c.timeout, logoutTimeout), smallAnswer)
	_ = c.ask(nil, &command{text: "LOGOUT"}) // a courtesy; the answer is known already
	return opening.End, nil
}
