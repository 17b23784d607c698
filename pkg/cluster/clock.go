// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"time"

	"golang.org/x/sys/unix"
)

// bootTime is the time since boot on a clock that runs on while the machine is
// suspended, which Go's monotonic clock does not: a laptop or a paused virtual
// machine must not wake up believing in its old lease.
func bootTime() time.Duration {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		// Linux has had this clock since 2.6.39. Without it no right to act is ever
		// current, which is safe.
		return 1<<63 - 1
	}
	return time.Duration(now.Nano())
}
