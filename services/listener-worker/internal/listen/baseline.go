// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"context"

	"mailpush.internal/pkg/fault"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/imapidle"
	"mailpush.internal/services/listener-worker/internal/listener"
)

// Baseline opens a mailbox once and tells where it ends. Error kinds:
// fault.Unauthenticated when the credential was refused, fault.Unavailable for
// anything else; the message says which.
func Baseline(ctx context.Context, store *mailv1.MailStore, login Login) (Box, error) {
	box, err := imapidle.New().Look(ctx, store, func(context.Context) (Login, error) { return login, nil })
	if err == nil {
		return box, nil
	}
	failure := asFailure(err)
	kind := fault.Unavailable
	switch failure.Class {
	case listener.ClassRefused, listener.ClassDoubtful, listener.ClassMasterRefused:
		kind = fault.Unauthenticated
	default:
	}
	return Box{}, fault.Wrap(kind, failure, "%s", failure.Reason)
}
