// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package header

import (
	"cmp"
	"strings"
)

// Sender is the first mailbox of a From field for people: "Name <local@host>", or what
// there is of it. An empty group stands by its name (RFC 5322 section 3.4).
func Sender(field []byte, runes int) string {
	a := firstAddress(string(field[:min(len(field), maxField)]))
	name, spec := Clean(decodeWords([]byte(unquote(a.phrase))), runes), Clean(decodeWords([]byte(a.spec)), runes)
	switch {
	case name == "" && a.comment != "" && spec != "":
		name = Clean(decodeWords([]byte(a.comment)), runes)
	case name == "" && spec == "":
		return Clean(decodeWords([]byte(unquote(a.group))), runes)
	}
	switch {
	case spec == "":
		return name
	case name == "" || name == spec:
		return spec
	}
	return Clean(name+" <"+spec+">", runes)
}

// address is one mailbox in pieces, as they are written.
type address struct {
	phrase  string // before the angle brackets
	spec    string // in them, or all of it
	comment string // in parentheses
	group   string // the name of the group it is in
}

// firstAddress takes a list apart up to the end of its first mailbox.
func firstAddress(s string) address {
	var a address
	var text strings.Builder
	angle := false      // the address stands in angle brackets
	open := [256]bool{} // what was opened and has no end: it is text
	for at := 0; at < len(s); {
		size := 1
		switch b := s[at]; {
		case b == '"' && !open[b]:
			size = quotedLen(s[at:])
			open[b] = size == 1
			text.WriteString(s[at : at+size])
		case b == '(' && !open[b]:
			var comment string
			comment, size = readComment(s[at:])
			open[b] = size == 1
			a.comment = cmp.Or(a.comment, comment)
			if open[b] {
				text.WriteByte(b)
			}
		case b == '=' && strings.HasPrefix(s[at:], "=?"):
			if _, word := parseWord(s[at:]); word > 0 {
				size = word
			}
			text.WriteString(s[at : at+size])
		case b == '<' && !angle:
			angle = true
			end := strings.IndexByte(s[at:], '>')
			if end < 0 {
				end = len(s) - at
			}
			a.phrase, a.spec = trim(text.String()), route(s[at+1:at+end])
			size = min(end+1, len(s)-at)
		case b == ':' && a.group == "" && !angle:
			a.group = trim(text.String())
			text.Reset()
		case b == ',' || b == ';':
			if done(&a, text.String(), angle, s[at+1:]) {
				return a
			}
			if trim(text.String()) != "" {
				text.WriteByte(b)
			}
		default:
			text.WriteByte(b)
		}
		at += size
	}
	_ = done(&a, text.String(), angle, "")
	return a
}

// done tells whether a mailbox ends before rest, and completes it. A comma between the
// two halves of an unquoted name is none that separates.
func done(a *address, text string, angle bool, rest string) bool {
	text = trim(text)
	switch {
	case angle:
		return true
	case text == "":
		return false
	case !strings.Contains(text, "@"):
		if head, _, _ := strings.Cut(rest, ","); strings.Contains(head, "<") {
			return false
		}
		a.phrase = text
		return true
	}
	a.spec = text
	if at := strings.LastIndexAny(text, " \t"); at > 0 && strings.Contains(text[at:], "@") { // no brackets around it
		a.phrase, a.spec = trim(text[:at]), trim(text[at:])
	}
	return true
}

// route drops the obsolete route of an address: "@a,@b:local@host".
func route(spec string) string {
	spec = trim(spec)
	if strings.HasPrefix(spec, "@") {
		if _, last, found := strings.Cut(spec, ":"); found {
			return trim(last)
		}
	}
	return spec
}

// quotedLen is the length of the quoted string that s begins with; without an end it is
// the quote alone.
func quotedLen(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return 1
}

// readComment reads the comment that s begins with; without an end it is the parenthesis
// alone.
func readComment(s string) (text string, size int) {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return trim(s[1:i]), i + 1
			}
		}
	}
	return "", 1
}

// unquote takes the quotes off a phrase, and the backslashes in them.
func unquote(s string) string {
	if !strings.ContainsRune(s, '"') {
		return s
	}
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
		case s[i] == '\\' && i+1 < len(s):
			i++
			out.WriteByte(s[i])
		default:
			out.WriteByte(s[i])
		}
	}
	return out.String()
}
