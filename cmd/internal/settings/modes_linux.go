// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package settings

import "syscall"

// File systems in memory, by their numbers in statfs(2).
const (
	tmpfs = 0x01021994
	ramfs = 0x858458f6
)

// inMemory tells whether a file is on a file system that is gone with the machine.
func inMemory(name string) bool {
	var on syscall.Statfs_t
	return syscall.Statfs(name, &on) == nil && (uint32(on.Type) == tmpfs || uint32(on.Type) == ramfs)
}
