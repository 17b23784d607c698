// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package imap

import "syscall"

// control needs Linux; elsewhere the deadlines of each operation remain.
func (lifeSigns) control(_, _ string, _ syscall.RawConn) error { return nil }
