// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package dovecot

import (
	"errors"
	"fmt"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/services/listener-worker/internal/dovecot/internal/doveadm"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

func unavailable(format string, args ...any) *mailbox.Failure {
	return &mailbox.Failure{Class: mailbox.ClassUnavailable, Reason: fmt.Sprintf(format, args...)}
}

// classify says what it means for a listener that doveadm did not answer. None of it is
// the fault of a credential.
func classify(err error) *mailbox.Failure {
	failure := &mailbox.Failure{Class: mailbox.ClassUnavailable, Reason: err.Error(), Err: err}
	switch {
	case doveadm.OfAll(err):
		failure.Blame = mailbox.BlameStore
	case doveadm.IsKind(err, doveadm.Aside), doveadm.IsKind(err, doveadm.NoUser),
		doveadm.IsKind(err, doveadm.Impossible), doveadm.IsKind(err, doveadm.TooLarge):
		failure.Blame = mailbox.BlameMailbox
	}
	if doveadm.IsKind(err, doveadm.Broken) || doveadm.IsKind(err, doveadm.TooLarge) {
		failure.Class = mailbox.ClassGarbage
	}
	return failure
}

// classifyRead is classify for a read of so many mails: whose POSTs fail may have one mail
// that makes them, which reading fewer shows.
func classifyRead(err error, first, last uint32) *mailbox.Failure {
	failure := classify(err)
	if doveadm.IsKind(err, doveadm.Broken) || doveadm.IsKind(err, doveadm.Aside) {
		failure.Class = mailbox.ClassLost
		if first == last {
			failure.UID = first
		}
	}
	return failure
}

// classifyCredential says what it means that the vault has no login.
func classifyCredential(err error) *mailbox.Failure {
	if fault.KindOf(err) == fault.NotFound {
		return &mailbox.Failure{Class: mailbox.ClassNoCredential, Reason: "no login is stored for this mailbox", Err: err}
	}
	if failure, ok := errors.AsType[*mailbox.Failure](err); ok {
		return failure
	}
	return &mailbox.Failure{Class: mailbox.ClassCredentials, Reason: "the login could not be asked for", Err: err}
}
