// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package imap

import (
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"strings"
)

const redacted = "[redacted]"

// redactor takes a password out of what a mail store says, however it is written there.
// The zero value takes nothing out.
type redactor struct{ password string }

// redact returns s without the password: as it is, as IMAP quotes it, percent-encoded,
// in hexadecimal, and in base64 alone or along with other text.
func (r redactor) redact(s string) string {
	if r.password == "" || s == "" {
		return s
	}
	for _, form := range []string{r.password, quote(r.password), strings.Trim(quote(r.password), `"`), url.QueryEscape(r.password), url.PathEscape(r.password)} {
		s = strings.ReplaceAll(s, form, redacted)
	}
	return r.redactWords(s)
}

// redactWords replaces the words that hold the password in an encoding.
func (r redactor) redactWords(s string) string {
	var out strings.Builder
	for at := 0; at < len(s); {
		end := at
		for end < len(s) && isDigit64(s[end]) {
			end++
		}
		switch {
		case end == at:
			out.WriteByte(s[at])
			end++
		case r.hidesIn(s[at:end]):
			out.WriteString(redacted)
		default:
			out.WriteString(s[at:end])
		}
		at = end
	}
	return out.String()
}

// hidesIn tells whether a word holds the password. Base64 is tried at each of its four
// beginnings, for a word may be cut anywhere.
func (r redactor) hidesIn(word string) bool {
	if len(word) < len(r.password) {
		return false
	}
	if decoded, err := hex.DecodeString(word); err == nil && strings.Contains(string(decoded), r.password) {
		return true
	}
	word = strings.Map(func(r rune) rune {
		switch r {
		case '-': // of the URL alphabet (RFC 4648 section 5)
			return '+'
		case '_':
			return '/'
		case '=':
			return -1
		default:
			return r
		}
	}, word)
	for skip := 0; skip < 4 && skip < len(word); skip++ {
		part := word[skip:]
		if len(part)%4 == 1 {
			part = part[:len(part)-1]
		}
		decoded, err := base64.RawStdEncoding.DecodeString(part)
		if err == nil && strings.Contains(string(decoded), r.password) {
			return true
		}
	}
	return false
}

func isDigit64(b byte) bool {
	return b >= 'A' && b <= 'Z' || b >= 'a' && b <= 'z' || b >= '0' && b <= '9' || strings.IndexByte("+/-_=", b) >= 0
}
