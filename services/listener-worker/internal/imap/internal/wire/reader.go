// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package wire cuts what an IMAP server sends into responses, and reads of each what it
// is asked for (RFC 9051 section 7, and what servers make of it).
//
// Invariant: it takes any bytes. A response costs bounded memory however long it is, and
// time in proportion to its length; what cannot be understood is a response all the same,
// so that what follows it is. Only the sizes of literals hold the stream together, and
// they alone can end it.
package wire

import (
	"bytes"
	"errors"
	"math"
)

// ErrFlood means that more bytes came, or were announced, than the budget allows.
var ErrFlood = errors.New("more bytes than any honest answer has")

const (
	bufferSize = 4 << 10
	// maxLiterals is how many literals of one response are kept.
	maxLiterals = 256
	// A literal is kept up to a part of the limit; so is, twice as much, the end of a
	// response that is longer.
	literalPart = 8
	endPart     = 4
)

// Reader cuts a stream into responses. It reads nothing itself: whoever has bytes puts
// them into Space, says so with Filled, and takes responses with Next until there is
// none. Nothing may come before Allow.
type Reader struct {
	budget int64 // bytes that may still come
	limit  int   // of the text of one response

	in    []byte // what came and is not taken: in[at:]
	at    int
	text  []byte    // of the response that is being put together, literals in their places
	marks []literal // where they are
	line  int       // where the line begins that is being read
	kind  lineKind
	left  int64 // bytes of a literal still to come
	keep  int   // and how many of them are kept
	cut   bool  // a part of the response is missing
	done  bool  // text is the last response, which Next has given out
}

// literal is where the bytes of a literal are in the text.
type literal struct{ start, end int }

type lineKind int

const (
	unknownLine lineKind = iota
	dataLine             // lists, strings and literals
	wordsLine            // words for people, in which braces mean nothing
)

// Allow sets how many bytes may come from now on, and that at most limit bytes of each
// response are kept, and some more of its last literal.
func (r *Reader) Allow(budget int64, limit int) { r.budget, r.limit = budget, limit }

// Space is where the next bytes go; it is never empty.
func (r *Reader) Space() []byte {
	if r.in == nil {
		r.in = getBuffer()
	}
	if r.at > 0 && r.at == len(r.in) {
		r.in, r.at = r.in[:0], 0
	}
	if len(r.in) == cap(r.in) {
		r.in = r.in[:copy(r.in, r.in[r.at:])]
		r.at = 0
	}
	return r.in[len(r.in):cap(r.in)]
}

// Filled says that n bytes were put into Space.
func (r *Reader) Filled(n int) error {
	r.in = r.in[:len(r.in)+n]
	if r.budget -= int64(n); r.budget < 0 {
		return ErrFlood
	}
	return nil
}

// Empty tells whether everything that came has been given out.
func (r *Reader) Empty() bool {
	return r.at == len(r.in) && (r.done || len(r.text) == 0) && r.left == 0
}

// Release gives the buffers back if they hold nothing; the last response with them.
func (r *Reader) Release() {
	if !r.Empty() {
		return
	}
	if r.in != nil {
		putBuffer(r.in)
	}
	if r.text != nil {
		putBuffer(r.text)
	}
	r.in, r.at = nil, 0
	r.clear()
	r.text, r.marks = nil, nil
}

// clear begins a new response.
func (r *Reader) clear() {
	r.text, r.marks, r.line = r.text[:0], r.marks[:0], 0
	r.kind, r.cut, r.done = unknownLine, false, false
}

// Next returns the next response, valid until the next call; false when its end has not
// come yet. All bytes of Space are taken when it returns false.
func (r *Reader) Next() (Response, bool, error) {
	if r.done {
		r.clear()
	}
	for {
		if r.left > 0 && !r.takeLiteral() {
			return Response{}, false, nil
		}
		if !r.takeLine() {
			return Response{}, false, nil
		}
		size, more := r.literalSize()
		if more && size > r.budget+int64(len(r.in)-r.at) {
			return Response{}, false, ErrFlood
		}
		if more {
			r.begin(size)
			continue
		}
		if len(r.marks) == 0 && len(bytes.Trim(r.text, junk)) == 0 { // a blank line
			r.clear()
			continue
		}
		r.done = true
		return r.response(), true, nil
	}
}

// takeLine takes bytes up to the end of a line.
func (r *Reader) takeLine() bool {
	if r.text == nil {
		r.text = getBuffer()
	}
	rest := r.in[r.at:]
	end := bytes.IndexByte(rest, '\n')
	if end < 0 {
		r.text = append(r.text, rest...)
		r.at = len(r.in)
		r.shorten()
		return false
	}
	r.text = append(r.text, rest[:end]...)
	r.at += end + 1
	r.shorten()
	for len(r.text) > r.line && r.text[len(r.text)-1] == '\r' {
		r.text = r.text[:len(r.text)-1]
	}
	return true
}

// shorten drops the middle of a text that has become too long.
func (r *Reader) shorten() {
	if len(r.text) <= r.limit {
		return
	}
	from := r.limit / 2
	upto := max(len(r.text)-r.limit/endPart, from)
	r.cut = true
	r.text = append(r.text[:from], r.text[upto:]...)
	kept := r.marks[:0]
	for _, mark := range r.marks {
		switch {
		case mark.end <= from:
			kept = append(kept, mark)
		case mark.start >= upto:
			kept = append(kept, literal{mark.start - (upto - from), mark.end - (upto - from)})
		}
	}
	r.marks = kept
	switch {
	case r.line >= upto:
		r.line -= upto - from
	case r.line > from:
		r.line = from
	}
}

// begin starts a literal.
func (r *Reader) begin(size int64) {
	r.text = r.text[:bytes.LastIndexByte(r.text, '{')]
	r.left, r.keep = size, 0
	if len(r.marks) < maxLiterals {
		r.keep = int(min(size, int64(r.limit/literalPart)))
		r.marks = append(r.marks, literal{len(r.text), len(r.text)})
	}
	r.cut = r.cut || int64(r.keep) < size
	r.line = len(r.text)
}

// takeLiteral takes bytes of a literal; it returns false when some are still to come.
func (r *Reader) takeLiteral() bool {
	n := int(min(r.left, int64(len(r.in)-r.at)))
	kept := min(n, r.keep)
	r.text = append(r.text, r.in[r.at:r.at+kept]...)
	r.keep -= kept
	r.left -= int64(n)
	r.at += n
	if kept > 0 {
		r.marks[len(r.marks)-1].end = len(r.text)
	}
	r.line = len(r.text)
	return r.left == 0
}

// literalSize reads the size of the literal that the line announces: a number in braces
// at its end (RFC 9051 section 4.3). It does so also where a quote is open, for a quoted
// string cannot hold the end of a line. Numbers that no int64 holds are as good as the
// largest one.
func (r *Reader) literalSize() (int64, bool) {
	if r.kind == unknownLine {
		r.kind = kindOf(r.text)
	}
	line := bytes.TrimRight(r.text[r.line:], " \t")
	if r.kind == wordsLine || !bytes.HasSuffix(line, []byte("}")) {
		return 0, false
	}
	open := bytes.LastIndexByte(line, '{')
	if open < 0 {
		return 0, false
	}
	digits := bytes.TrimRight(line[open+1:len(line)-1], "+-")
	size, ok := Number(digits)
	return int64(min(size, math.MaxInt64)), ok
}
