// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package imap opens mailboxes over IMAP, reads them, and waits in IDLE for new mail.
// It is a client of its own (RFC 9051, RFC 3501) that knows the dozen commands a
// listener needs and believes little of what it is answered.
//
// Invariant: nothing a mail store sends or withholds costs more than a bounded time and
// a bounded number of bytes per operation. Between operations a connection is parked: it has
// no goroutine, no buffer and no timer, and no word that comes then is lost. A credential is asked for only when the mail store is ready to take it,
// over the protection its configuration demands, and is dropped after the login; no error
// shows any of it. A mail is passed over only on evidence that it is gone.
package imap
