// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package machine is the state machine that notices new mail in one mailbox.
//
// It does no I/O: Machine.Step takes what happened and returns what to do. The
// invariant it keeps: at most one operation is in flight per connection, no
// login is attempted while the credential is suspended or a back-off runs, unless that is
// ended from outside, and nothing waits, in IDLE or for hints, with a UIDNEXT that was never compared.
package machine
