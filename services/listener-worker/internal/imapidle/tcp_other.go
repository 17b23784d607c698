// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package imapidle

import (
	"net"
	"syscall"
	"time"
)

//nolint:gochecknoglobals // a constant that Go cannot express
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: time.Minute, Interval: 15 * time.Second, Count: 4}

// setUserTimeout needs Linux; elsewhere the deadlines of each operation remain.
func setUserTimeout(_, _ string, _ syscall.RawConn) error { return nil }
