// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package capacity

// openFiles and physicalMemory are unknown here: a worker is developed on such systems,
// not run.
func openFiles() uint64      { return 0 }
func physicalMemory() uint64 { return 0 }
