// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package imapidle

import (
	"bytes"
	"slices"
	"strings"
)

// guard keeps one kind of line from the IMAP client: a capability list with an
// opening parenthesis, over which the reader of go-imap v2.0.0-beta.8 spins for
// ever (its SP() accepts "(" without consuming it). There is no honest one, so
// the parenthesis becomes a question mark. Mails are not touched: their words
// come inside FETCH answers, in quotes or literals, which the guard follows.
type guard struct {
	phase   phase
	words   []byte // the line so far, while it is not known what it is
	quoted  bool
	escaped bool
	braces  bool  // a number in braces is being read, or just was
	number  int64 // that number
	skip    int64 // bytes of a literal still to come
}

type phase int

const (
	atWords        phase = iota // the first words of a line
	inText                      // a status line: words for people
	inCapabilities              // a capability list
	inData                      // anything else: lists, strings and literals
)

// maxWords bounds what is remembered of a line to know what it is. No honest
// line takes so long to say it.
const maxWords = 64

// clean goes over the next bytes of the stream.
func (g *guard) clean(p []byte) {
	for i := 0; i < len(p); i++ {
		if g.skip > 0 {
			n := min(g.skip, int64(len(p)-i))
			g.skip -= n
			i += int(n) - 1
			continue
		}
		if g.phase == atWords {
			g.word(p[i])
		}
		switch {
		case g.phase == inData:
			g.data(p[i])
		case p[i] == '\n':
			g.reset()
		case p[i] == '(' && g.phase == inCapabilities:
			p[i] = '?'
		}
	}
}

// word takes a byte of a line of unknown kind.
func (g *guard) word(b byte) {
	if len(g.words) >= maxWords {
		g.phase = inCapabilities
	} else if bytes.IndexByte([]byte(" (\"{]\r\n"), b) >= 0 {
		g.phase = kindOf(strings.Fields(strings.ToUpper(string(g.words))), b)
	}
	g.words = append(g.words, b)
}

// kindOf tells a line by its first words; b is what follows them.
func kindOf(words []string, b byte) phase {
	if len(words) > 0 && words[0][0] == '+' {
		return inText
	}
	if len(words) > 1 && strings.Trim(words[1], "0123456789") == "" {
		words = slices.Delete(words, 1, 2) // the number of `* 5 EXISTS`
	}
	if len(words) < 2 {
		if b == ' ' {
			return atWords
		}
		return inData
	}
	status := words[0] != "*" || slices.Contains([]string{"OK", "NO", "BAD", "BYE", "PREAUTH"}, words[1])
	switch {
	case words[1] == "CAPABILITY", len(words) > 2 && words[2] == "[CAPABILITY":
		return inCapabilities
	case status && len(words) == 2 && b == ' ':
		return atWords // the response code comes next
	case status:
		return inText
	default:
		return inData
	}
}

// data follows quotes and literals, in which a line does not end.
func (g *guard) data(b byte) {
	switch {
	case g.escaped:
		g.escaped = false
	case g.quoted && b == '\\':
		g.escaped = true
	case b == '"':
		g.quoted = !g.quoted
	case g.quoted:
	case b == '{':
		g.braces, g.number = true, 0
	case b == '\n' && g.braces:
		g.skip, g.braces = g.number, false
	case b == '\n':
		g.reset()
	case g.braces && b >= '0' && b <= '9' && g.number < 1<<40:
		g.number = g.number*10 + int64(b-'0')
	case b != '}' && b != '\r' && b != ' ':
		g.braces = false
	}
}

func (g *guard) reset() { *g = guard{words: g.words[:0]} }
