// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package crowd

import (
	"os"
	"syscall"
)

const (
	// memoryDir is where Linux keeps files in memory, and roomAtLeast what has to be free
	// there.
	memoryDir   = "/dev/shm"
	roomAtLeast = 2 << 30
)

// place is below which directory everything is kept, empty for the usual one. Databases in
// memory spare each subscription several waits for a disk; nothing of them is kept in the
// end, and the worker, which is measured, has none. A TMPDIR that is set is respected.
func place() string {
	var there syscall.Statfs_t
	if os.Getenv("TMPDIR") != "" || syscall.Statfs(memoryDir, &there) != nil || there.Bavail*uint64(there.Bsize) < roomAtLeast {
		return ""
	}
	return memoryDir
}
