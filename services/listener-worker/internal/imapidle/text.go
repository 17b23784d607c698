// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package imapidle

import (
	"strings"
	"unicode"
)

const (
	maxServerText = 160  // runes of a server's words shown to people
	maxHeaderText = 1000 // runes of a sender or subject handed on
)

// plain makes a server's words fit for a log line or a status.
func plain(s string) string { return clip(s, maxServerText) }

// clip keeps printable runes of s, at most n, with single spaces.
func clip(s string, n int) string {
	var out strings.Builder
	space, runes := false, 0
	for _, r := range s {
		if unicode.IsSpace(r) || !unicode.IsPrint(r) && r != '\u200d' {
			space = out.Len() > 0
			continue
		}
		if space {
			out.WriteByte(' ')
			space = false
			runes++
		}
		if runes >= n {
			out.WriteRune('…')
			break
		}
		out.WriteRune(r)
		runes++
	}
	return out.String()
}
