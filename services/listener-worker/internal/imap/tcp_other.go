// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package imap

import "syscall"

// setUserTimeout needs Linux; elsewhere the deadlines of each operation remain.
func setUserTimeout(_, _ string, _ syscall.RawConn) error { return nil }
