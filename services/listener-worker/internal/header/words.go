// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package header

import (
	"encoding/base64"
	"strings"
)

// word is one encoded word (RFC 2047 section 2), a language taken off its charset
// (RFC 2231 section 5).
type word struct {
	charset string
	base64  bool
	text    string
}

// decodeWords decodes the encoded words of a field and leaves the rest as it is. White
// space between two of them is no text. Neighbours of one charset are decoded together:
// many a program cuts them inside a character, or inside a group of base64.
func decodeWords(field []byte) string {
	s := string(field)
	if !strings.Contains(s, "=?") {
		return plainText(s)
	}
	var out strings.Builder
	var run []word
	gap := 0 // where the text since the last word begins
	for at := 0; at < len(s); {
		next := strings.Index(s[at:], "=?")
		if next < 0 {
			break
		}
		at += next
		w, size := parseWord(s[at:])
		if size == 0 {
			at += len("=?")
			continue
		}
		if between := s[gap:at]; len(run) == 0 || trim(between) != "" {
			out.WriteString(decodeRun(run))
			run = run[:0]
			out.WriteString(plainText(between))
		} else if !run[len(run)-1].sameAs(w) {
			out.WriteString(decodeRun(run))
			run = run[:0]
		}
		run = append(run, w)
		at += size
		gap = at
	}
	out.WriteString(decodeRun(run))
	out.WriteString(plainText(s[gap:]))
	return out.String()
}

// parseWord reads the encoded word that s begins with; size is 0 when it is none. Text
// with white space in it is taken, for it is common and cannot be meant otherwise.
func parseWord(s string) (w word, size int) {
	charset, rest, found := strings.Cut(s[len("=?"):], "?")
	if !found || charset == "" || strings.ContainsAny(charset, " \t\r\n=<>\"") || len(rest) < 2 || rest[1] != '?' {
		return word{}, 0
	}
	switch rest[0] {
	case 'B', 'b':
		w.base64 = true
	case 'Q', 'q':
	default:
		return word{}, 0
	}
	text, _, found := strings.Cut(rest[2:], "?=")
	if !found || strings.Contains(text, "=?") {
		return word{}, 0
	}
	w.charset, _, _ = strings.Cut(strings.ToLower(charset), "*")
	w.text = text
	return w, len("=?") + len(charset) + len("?Q?") + len(text) + len("?=")
}

func (w word) sameAs(other word) bool { return w.charset == other.charset }

// decodeRun decodes neighbours of one charset.
func decodeRun(run []word) string {
	if len(run) == 0 {
		return ""
	}
	var raw []byte
	for i := 0; i < len(run); i++ {
		w := run[i]
		if !w.base64 {
			raw = appendQ(raw, w.text)
			continue
		}
		text := base64Only(w.text)
		for len(text)%4 != 0 && !strings.HasSuffix(text, "=") && i+1 < len(run) && run[i+1].base64 {
			i++
			text += base64Only(run[i].text)
		}
		raw = appendBase64(raw, text)
	}
	return decodeCharset(run[0].charset, raw)
}

// base64Only drops what is no base64, such as a blank.
func base64Only(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'A' && r <= 'Z', r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '+', r == '/', r == '=':
			return r
		case r == '-':
			return '+'
		case r == '_':
			return '/'
		default:
			return -1
		}
	}, s)
}

// appendBase64 decodes base64 with padding or without, and beyond padding in the middle.
func appendBase64(raw []byte, text string) []byte {
	for part := range strings.SplitSeq(text, "=") {
		raw = append(raw, unpadded(part)...)
	}
	return raw
}

// unpadded decodes base64 without padding; digits of less than a byte are dropped.
func unpadded(digits string) []byte {
	if len(digits)%4 == 1 {
		digits = digits[:len(digits)-1]
	}
	raw, _ := base64.RawStdEncoding.DecodeString(digits) // nothing else than digits
	return raw
}

// appendQ decodes the "Q" encoding (RFC 2047 section 4.2); what is no code stays.
func appendQ(raw []byte, text string) []byte {
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '_':
			raw = append(raw, ' ')
		case text[i] == '=' && i+2 < len(text) && hex(text[i+1]) >= 0 && hex(text[i+2]) >= 0:
			raw = append(raw, byte(hex(text[i+1])<<4|hex(text[i+2])))
			i += 2
		default:
			raw = append(raw, text[i])
		}
	}
	return raw
}

func hex(b byte) int {
	switch {
	case b >= '0' && b <= '9':
		return int(b - '0')
	case b >= 'A' && b <= 'F':
		return int(b-'A') + 10
	case b >= 'a' && b <= 'f':
		return int(b-'a') + 10
	default:
		return -1
	}
}
