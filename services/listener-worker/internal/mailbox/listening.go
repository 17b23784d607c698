// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package mailbox

import mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"

// Listening says that a user's mailbox is to be listened to, and how.
type Listening struct {
	// User is whose mailbox it is.
	User User
	// Store is where the mailbox lives. All mailboxes of a store share one.
	Store *mailv1.MailStore
	// CredentialVersion is the version of the stored credential; a grown one
	// resumes a suspended listener.
	CredentialVersion uint64
	// CredentialSlot is where the login is in the vault.
	CredentialSlot uint32
	// Permanent is true for a listener that needs no user session.
	Permanent bool
	// Login is what the mail store calls the user, where the mailbox is opened without the
	// login of anybody; empty where the vault has one.
	Login string
}
