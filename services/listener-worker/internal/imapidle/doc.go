// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package imapidle is the listener backend that notices new mail by IMAP IDLE.
//
// Invariant: nothing a mail store sends or withholds costs more than a bounded
// time and a bounded number of bytes per operation; a credential is asked for
// only when the mail store is ready to take it, over the protection its
// configuration demands, and is dropped after the login.
package imapidle
