// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package imap

import "syscall"

const tcpUserTimeout = 0x12 // TCP_USER_TIMEOUT of linux/tcp.h, not in package syscall

// control sets what package net has no name for.
func (s lifeSigns) control(_, _ string, c syscall.RawConn) error {
	var optErr error
	err := c.Control(func(fd uintptr) {
		optErr = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(s.deadAfter.Milliseconds()))
	})
	if err != nil {
		return err
	}
	return optErr
}
