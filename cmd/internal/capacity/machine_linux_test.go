// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package capacity

import (
	"syscall"
	"testing"
)

// The real system has something to say, also where /proc is hidden, and Go has raised the
// soft limit of files as far as the hard one.
func TestHereIsKnown(t *testing.T) {
	t.Parallel()
	here := Here()
	if here.Memory < 16<<20 || here.MemoryIs == "" || physicalMemory() < 16<<20 {
		t.Errorf("%+v, %d bytes in all", here, physicalMemory())
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || here.Files != limit.Max {
		t.Errorf("%d files, the hard limit is %d: %v", here.Files, limit.Max, err)
	}
	t.Logf("%+v: %+v", here, Of(here))
}
