// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pushusers

import (
	"strings"
	"testing"
)

// A mail server's words end up in the wide list: they must not reach the terminal as
// commands to it, nor break the table's lines.
func TestTableShowsNoControlCharacters(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	writeTable(&out, []column{{"Error", false}, {"N", true}}, [][]string{
		{"\x1b[2Jgone\r\nfake  row", "1"},
		{"Grüße", "10"},
	})
	want := "Error                 N\n" +
		"\ufffd[2Jgone\ufffd\ufffdfake  row   1\n" +
		"Grüße                10\n"
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}
