// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package imap

import (
	"math/rand/v2"
	"net"
	"time"
)

// A dead peer of an idle connection is found within four minutes, at the price of a packet
// in one or two.
//
// The times differ from connection to connection. A mail store that speaks to all its
// connections at once aligns their timers, the kernel fires what is due within two seconds
// together, and of the probes it sends then it drops those that its queue has no room for,
// a thousand mostly: enough lost ones in a row, and thousands of good connections end.
const (
	quietAtLeast  = 60 * time.Second
	quietAtMost   = 150 * time.Second
	probeInterval = 18 * time.Second
	probes        = 5
)

// lifeSigns is how a connection looks for signs of life of its peer.
type lifeSigns struct {
	keepAlive net.KeepAliveConfig
	// deadAfter is how long written bytes may stay unacknowledged, which keep-alive does
	// not watch while a write is pending. Where the system has such a limit, it also takes
	// the place of the number of probes.
	deadAfter time.Duration
}

func newLifeSigns() lifeSigns {
	quiet := quietAtLeast + rand.N(quietAtMost-quietAtLeast)
	return lifeSigns{
		keepAlive: net.KeepAliveConfig{Enable: true, Idle: quiet, Interval: probeInterval, Count: probes},
		deadAfter: quiet + probes*probeInterval,
	}
}
