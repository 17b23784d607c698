// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package oddservers tries the loop of listeners, with the real IMAP client, at all
// servers of pkg/imaptest/odd. It has tests alone.
package oddservers
