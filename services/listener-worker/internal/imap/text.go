// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package imap

import (
	"strings"
	"unicode"
)

const (
	maxLooked     = 1 << 10 // bytes of a server's words that are looked at
	maxServerText = 160     // runes of a server's words shown to people
)

// plain makes a server's words fit for a log line or a status, without a credential.
func (c *conn) plain(s string) string {
	if len(s) > maxLooked {
		s = s[:maxLooked]
		s = s[:max(strings.LastIndexByte(s, ' '), 0)] // no half of a credential
	}
	return plain(c.redactor.redact(s))
}

// plain keeps printable runes of s, a few, with single spaces.
func plain(s string) string {
	var out strings.Builder
	space, runes := false, 0
	for _, r := range s {
		if unicode.IsSpace(r) || !unicode.IsPrint(r) {
			space = out.Len() > 0
			continue
		}
		if space {
			out.WriteByte(' ')
			space = false
			runes++
		}
		if runes >= maxServerText {
			out.WriteRune('…')
			break
		}
		out.WriteRune(r)
		runes++
	}
	return out.String()
}
