// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package secret

import "golang.org/x/sys/unix"

// NoDumps has the kernel write no core of this process, whatever its limits say, and show
// its memory to no other process of the same user. It holds until the process executes
// another program.
func NoDumps() error { return unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) }
