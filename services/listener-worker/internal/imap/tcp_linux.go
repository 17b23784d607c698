// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package imap

import (
	"syscall"
	"time"
)

const (
	tcpUserTimeout = 0x12 // TCP_USER_TIMEOUT of linux/tcp.h, not in package syscall
	peerDeadAfter  = 90 * time.Second
)

// setUserTimeout bounds how long written bytes may stay unacknowledged, which
// keep-alive does not watch while a write is pending.
func setUserTimeout(_, _ string, c syscall.RawConn) error {
	var optErr error
	err := c.Control(func(fd uintptr) {
		optErr = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(peerDeadAfter.Milliseconds()))
	})
	if err != nil {
		return err
	}
	return optErr
}
