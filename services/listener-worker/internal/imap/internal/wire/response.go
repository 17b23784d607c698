// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"bytes"
	"math"
)

// junk is what stands around words and means nothing.
const junk = " \t\r\x00"

// Kind tells responses apart by how they begin.
type Kind int

// The kinds.
const (
	// Junk begins like no response.
	Junk Kind = iota
	// Untagged begins with "*": data, or a status that ends no command.
	Untagged
	// Tagged ends the command that has the tag.
	Tagged
	// Tagless is an OK, NO or BAD with nothing before it.
	Tagless
	// Continuation begins with "+".
	Continuation
)

// Response is one response. It shares the memory of the reader.
type Response struct {
	// Kind is how it begins.
	Kind Kind
	// Tag is the tag of a tagged one.
	Tag []byte
	// Number is the number before the name, as in "* 5 EXISTS".
	Number uint64
	// Name says what it is, in any case: OK, FETCH. Of Junk it is the first word.
	Name []byte
	// Cut tells that a part of it is missing, for it was too long.
	Cut bool

	text  []byte
	marks []literal
	at    int // where what follows the name begins
}

// Is compares the name.
func (r *Response) Is(name string) bool { return equalFold(r.Name, name) }

// Text is the response without its literals' sizes, to be shown.
func (r *Response) Text() []byte { return r.text }

// response reads how the text begins.
func (r *Reader) response() Response {
	p := Response{text: r.text, marks: r.marks, Cut: r.cut}
	p.at = len(p.text) - len(bytes.TrimLeft(p.text, junk))
	if p.at == len(p.text) {
		return p
	}
	switch p.text[p.at] {
	case '*':
		p.Kind = Untagged
		p.at++
		p.Name = p.word()
		if n, ok := Number(p.Name); ok {
			p.Number = n
			p.Name = p.word()
		}
		return p
	case '+':
		p.Kind = Continuation
		p.at++
		return p
	}
	p.Name = p.word()
	if isStatus(p.Name) {
		p.Kind = Tagless
		return p
	}
	at := p.at
	if status := p.word(); isStatus(status) {
		p.Kind, p.Tag, p.Name = Tagged, p.Name, status
		return p
	}
	p.at = at
	return p
}

// word takes the next word off the beginning.
func (r *Response) word() []byte {
	end := len(r.text)
	if len(r.marks) > 0 {
		end = r.marks[0].start
	}
	for r.at < end && bytes.IndexByte([]byte(junk), r.text[r.at]) >= 0 {
		r.at++
	}
	start := r.at
	for r.at < end && bytes.IndexByte([]byte(junk+"(\"["), r.text[r.at]) < 0 {
		r.at++
	}
	return r.text[start:r.at]
}

// kindOf tells a line in which literals may stand from one that holds words for people.
func kindOf(text []byte) lineKind {
	p := Response{text: bytes.TrimLeft(text, junk)}
	if len(p.text) == 0 || p.text[0] != '*' {
		return wordsLine
	}
	p.at = 1
	name := p.word()
	if _, ok := Number(name); ok {
		name = p.word()
	}
	if isStatus(name) || equalFold(name, "BYE") || equalFold(name, "PREAUTH") {
		return wordsLine
	}
	return dataLine
}

func isStatus(word []byte) bool {
	return equalFold(word, "OK") || equalFold(word, "NO") || equalFold(word, "BAD")
}

// equalFold compares ASCII in any case, without allocating.
func equalFold(word []byte, upper string) bool {
	if len(word) != len(upper) {
		return false
	}
	for i, b := range word {
		if b >= 'a' && b <= 'z' {
			b -= 'a' - 'A'
		}
		if b != upper[i] {
			return false
		}
	}
	return true
}

// Number reads an unsigned number; what no uint64 holds is as good as the largest one.
func Number(digits []byte) (uint64, bool) {
	var n uint64
	for _, d := range digits {
		if d < '0' || d > '9' {
			return 0, false
		}
		if digit := uint64(d - '0'); n > (math.MaxUint64-digit)/10 {
			n = math.MaxUint64 // and stays so, whatever follows
		} else {
			n = n*10 + digit
		}
	}
	return n, len(digits) > 0
}

// Status is what a status response says (RFC 9051 section 7.1).
type Status struct {
	// Code is the name of the response code, Arg what follows it, Text the words.
	Code, Arg, Text []byte
}

// Status reads the words of a status response, or of a continuation. A code whose
// bracket is not closed reaches as far as its first word.
func (r *Response) Status() Status {
	rest := bytes.Trim(r.text[r.at:], junk)
	if len(rest) == 0 || rest[0] != '[' {
		return Status{Text: rest}
	}
	var s Status
	code, text, closed := bytes.Cut(rest[1:], []byte("]"))
	s.Code, s.Arg, _ = bytes.Cut(bytes.Trim(code, junk), []byte(" "))
	if !closed {
		s.Text, s.Arg = s.Arg, nil
		return s
	}
	s.Arg, s.Text = bytes.Trim(s.Arg, junk), bytes.Trim(text, junk)
	return s
}

// HasCode compares the name of the response code.
func (s Status) HasCode(name string) bool { return equalFold(s.Code, name) }
