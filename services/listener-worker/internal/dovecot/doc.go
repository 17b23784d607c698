// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package dovecot listens to mailboxes of a Dovecot that says by itself, with an HTTP
// request, that mail has come. It holds no connection and, where it has the key of the
// doveadm HTTP API, needs nobody's login.
//
// It registers a mailbox for that at Dovecot, by an annotation in METADATA (RFC 5464), and
// reads it: by doveadm or, where there is no key or doveadm is out, over IMAP opened on
// demand and kept for a moment. The requests themselves are not its business: they reach
// the listeners as hints.
//
// Invariant: a hint is never what is true. Every opening compares where the folder ends,
// after the registration was made and not only before. What another system has registered
// is left as it is. A range of mails is passed over only when Dovecot has told it whole,
// and of the folder that was opened: an expunged mail is absent from such an answer, and
// that is evidence here, for doveadm reads the mailbox and not a session's old view of it.
package dovecot

// Name is how configuration and listings call this backend.
const Name = "dovecot"
