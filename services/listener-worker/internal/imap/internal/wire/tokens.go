// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package wire

import "bytes"

// maxDepth is how deep lists may lie in each other; honest answers have six levels.
const maxDepth = 32

type tokenKind int

const (
	endToken tokenKind = iota
	openToken
	closeToken
	atomToken
	stringToken // quoted, or a literal
)

type token struct {
	kind  tokenKind
	value []byte
}

func (t token) isNil() bool { return t.kind == atomToken && equalFold(t.value, "NIL") }

// tokens goes over the data of a response. It never fails: what fits no grammar is an
// atom, or the end.
type tokens struct {
	text  []byte
	marks []literal // still to come
	at    int
	open  bool // a quoted string had no end
}

// tokens begins behind the name.
func (r *Response) tokens() tokens { return tokens{text: r.text, marks: r.marks, at: r.at} }

// end is how far the present line reaches: to the next literal.
func (t *tokens) end() int {
	if len(t.marks) > 0 {
		return t.marks[0].start
	}
	return len(t.text)
}

func (t *tokens) skipJunk() {
	end := t.end()
	for t.at < end && (t.text[t.at] <= ' ' || t.text[t.at] == 0x7f) {
		t.at++
	}
}

// next takes the next token.
func (t *tokens) next() token {
	t.skipJunk()
	end := t.end()
	if t.at == end {
		return t.literal()
	}
	switch b := t.text[t.at]; b {
	case '(':
		t.at++
		return token{kind: openToken}
	case ')':
		t.at++
		return token{kind: closeToken}
	case '"':
		return t.quoted()
	case '~':
		if t.at+1 == end { // literal8 (RFC 9051 section 4.3)
			t.at++
			return t.literal()
		}
	}
	start := t.at
	for t.at < end && !isSpecial(t.text[t.at]) {
		t.at++
	}
	return token{kind: atomToken, value: t.text[start:t.at]}
}

func isSpecial(b byte) bool { return b <= ' ' || b == '(' || b == ')' || b == '"' || b == 0x7f }

// literal takes the literal that stands here, or nothing at the end.
func (t *tokens) literal() token {
	if len(t.marks) == 0 {
		return token{}
	}
	mark := t.marks[0]
	t.marks = t.marks[1:]
	t.at = mark.end
	return token{kind: stringToken, value: t.text[mark.start:mark.end]}
}

// quoted takes a quoted string, without its backslashes. One without an end reaches as
// far as the line.
func (t *tokens) quoted() token {
	t.at++
	start, end := t.at, t.end()
	closing := bytes.IndexByte(t.text[start:end], '"')
	if closing >= 0 && bytes.IndexByte(t.text[start:start+closing], '\\') < 0 {
		t.at = start + closing + 1
		return token{kind: stringToken, value: t.text[start : start+closing]}
	}
	to := start
	for t.at < end {
		b := t.text[t.at]
		t.at++
		if b == '"' {
			return token{kind: stringToken, value: t.text[start:to]}
		}
		if b == '\\' && t.at < end {
			b = t.text[t.at]
			t.at++
		}
		t.text[to] = b // never before what is still to be read
		to++
	}
	t.open = true
	return token{kind: stringToken, value: t.text[start:to]}
}

// skip passes over a value that begins with the token: a list with all that is in it,
// however deep, or the token alone. Below maxDepth lists are not told apart any more,
// and the rest of the response is passed over.
func (t *tokens) skip(first token) {
	if first.kind != openToken {
		return
	}
	for depth := 1; depth > 0; {
		switch t.next().kind {
		case endToken:
			return
		case openToken:
			if depth++; depth > maxDepth {
				t.at, t.marks = len(t.text), nil
				return
			}
		case closeToken:
			depth--
		case atomToken, stringToken:
		}
	}
}

// item takes the name of a FETCH item: an atom, with its section in brackets whatever
// stands in there.
func (t *tokens) item() token {
	first := t.next()
	if first.kind != atomToken || bytes.IndexByte(first.value, '[') < 0 || bytes.IndexByte(first.value, ']') >= 0 {
		return first
	}
	start, end := t.at-len(first.value), t.end()
	closing := bytes.IndexByte(t.text[t.at:end], ']')
	if closing < 0 {
		return first
	}
	t.at += closing + 1
	for t.at < end && !isSpecial(t.text[t.at]) { // the origin of a part
		t.at++
	}
	return token{kind: atomToken, value: t.text[start:t.at]}
}
