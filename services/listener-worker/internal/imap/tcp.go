// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package imap

import (
	"net"
	"time"
)

// keepAlive finds a dead peer of an idle connection within two minutes, at the
// price of one packet a minute.
//
//nolint:gochecknoglobals // a constant that Go cannot express
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: time.Minute, Interval: 15 * time.Second, Count: 4}
