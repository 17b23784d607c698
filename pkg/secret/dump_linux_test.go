// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package secret_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"mailpush.internal/pkg/secret"
)

// inChild has this program say whether it can be dumped, and do nothing else.
const inChild = "MAILPUSH_TEST_DUMPS"

// TestNoDumps asks a process of its own, for this one is to go on as it was.
func TestNoDumps(t *testing.T) {
	t.Parallel()
	if os.Getenv(inChild) != "" {
		if err := secret.NoDumps(); err != nil {
			t.Fatal(err)
		}
		dumpable, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
		if err != nil || dumpable != 0 {
			t.Fatalf("dumpable is %d, %v", dumpable, err)
		}
		return
	}
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestNoDumps$", "-test.v")
	child.Env = append(os.Environ(), inChild+"=1")
	if out, err := child.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestNoDumps") {
		t.Errorf("%v\n%s", err, out)
	}
}
