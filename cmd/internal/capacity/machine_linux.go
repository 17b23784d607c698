// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package capacity

import "syscall"

// openFiles is how many files the process may have open, zero when that is unknown.
func openFiles() uint64 {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return 0
	}
	if limit.Cur+1 == limit.Max { // as far as Go raises it
		return limit.Max
	}
	return limit.Cur
}

// physicalMemory is all memory of the machine in bytes, for where /proc is hidden from
// the process; zero when that is unknown.
func physicalMemory() uint64 {
	var info syscall.Sysinfo_t
	if syscall.Sysinfo(&info) != nil {
		return 0
	}
	return uint64(info.Totalram) * uint64(info.Unit) //nolint:unconvert // not everywhere of 64 bits
}
