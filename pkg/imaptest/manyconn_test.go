// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package imaptest

import (
	"bytes"
	"strings"
	"testing"
)

// Whatever a client says is answered in whole lines, each command by its tag.
func FuzzManyLines(f *testing.F) {
	for _, text := range []string{
		"a LOGIN anna pw\nb SELECT INBOX\nc IDLE\nDONE", "a AUTHENTICATE PLAIN\nAGFubmEAcHc=", "a UID FETCH 1:* (UID ENVELOPE)", "a UID SEARCH UID 5:2", "a UID", "a", "",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		m := &Many{boxes: make(map[string]*manyBox), all: 5}
		c := new(manyConn)
		for line := range strings.Lines(text) {
			said := m.answer(nil, c, strings.TrimSpace(line))
			if !bytes.HasSuffix(said, []byte("\r\n")) {
				t.Errorf("%q is answered by %q", line, said)
			}
		}
	})
}
