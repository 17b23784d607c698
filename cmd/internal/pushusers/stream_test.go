// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pushusers

import (
	"os"
	"strings"
	"testing"
)

// Who reads may have gone, as head has: the code says that not all was written, and
// nothing else does.
func TestAReaderThatHasGoneIsNoNews(t *testing.T) {
	t.Parallel()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = write.Close() })
	if err := read.Close(); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	if code := Run([]string{"--help"}, "v1", strings.NewReader(""), write, &said); code != exitServer || said.Len() > 0 {
		t.Errorf("exit code %d, and said %q", code, said.String())
	}
}
