// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package header

import (
	"strings"
	"unicode/utf8"
)

// maxField is how much of a field is looked at.
const maxField = 8 << 10

// MaxText is how many runes of a sender or a subject a push speaks of.
const MaxText = 1000

// Text is an unstructured field, such as a subject, as people read it: unfolded, with
// encoded words decoded (RFC 2047), of at most so many runes and an ellipsis.
func Text(field []byte, runes int) string {
	return Clean(decodeWords(field[:min(len(field), maxField)]), runes)
}

// Clean makes text fit to be shown anywhere. Folds are undone, C0 and C1 controls and
// broken UTF-8 become U+FFFD or a space, white space around it goes; joiners, soft
// hyphens, private use and what is newer than this program stay.
func Clean(s string, runes int) string {
	s = trim(s)
	if isClean(s, runes) {
		return s
	}
	var out strings.Builder
	count := 0
	for at := 0; at < len(s); {
		r, size := utf8.DecodeRuneInString(s[at:])
		at += size
		switch {
		case r == '\r' && at < len(s) && s[at] == '\n':
			continue // a fold: the white space after it is part of the text
		case r == '\n' && at < len(s) && (s[at] == ' ' || s[at] == '\t'):
			continue
		case r == '\t' || r == '\n' || r == '\r':
			r = ' '
		case isControl(r):
			r = utf8.RuneError
		}
		if count == runes {
			out.WriteRune('…')
			break
		}
		out.WriteRune(r)
		count++
	}
	return out.String()
}

// isClean tells whether text can stay as it is; most can.
func isClean(s string, runes int) bool {
	count := 0
	for _, r := range s {
		if isControl(r) || r == utf8.RuneError {
			return false
		}
		count++
	}
	return count <= runes
}

func isControl(r rune) bool { return r < 0x20 || r >= 0x7f && r < 0xa0 }

// trim takes off the white space of ASCII.
func trim(s string) string { return strings.Trim(s, " \t\r\n") }
