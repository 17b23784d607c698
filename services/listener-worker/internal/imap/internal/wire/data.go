// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"bytes"
	"slices"
)

// Fetch is what a FETCH response says of one mail. A nil slice or a false flag means
// that it did not say.
type Fetch struct {
	// UID is the mail's UID.
	UID uint64
	// Size is RFC822.SIZE where HasSize; it may be over all measure.
	Size    uint64
	HasSize bool
	// Date is INTERNALDATE as it is written.
	Date []byte
	// Subject and From are those of an ENVELOPE that nobody asked for; From is an address
	// for people.
	Subject, From []byte
	// Header is the part of the header that was asked for; empty, not nil, for none.
	Header []byte
}

// Fetch reads a FETCH response (RFC 9051 section 7.5.2). Items that nobody asked for are
// passed over whatever is wrong with them.
func (r *Response) Fetch() Fetch {
	var f Fetch
	t := r.tokens()
	for {
		name := t.item()
		switch name.kind {
		case endToken:
			r.repair(&f, t.open)
			return f
		case atomToken:
			f.take(name.value, &t)
		case openToken, closeToken, stringToken: // the list itself, or what is left of a broken value
		}
	}
}

// take takes the value of an item. One that cannot be its value is left where it is.
func (f *Fetch) take(name []byte, t *tokens) {
	before := *t
	value := t.next()
	switch {
	case value.kind == closeToken || value.kind == endToken:
		*t = before
	case equalFold(name, "UID"):
		f.UID, _ = Number(value.value)
	case equalFold(name, "RFC822.SIZE"):
		f.Size, f.HasSize = Number(value.value)
	case equalFold(name, "INTERNALDATE"):
		if f.Date = value.value; value.isNil() {
			f.Date = nil
		}
	case isHeaderItem(name):
		if f.Header = value.value; f.Header == nil || value.isNil() {
			f.Header = []byte{}
		}
	case equalFold(name, "ENVELOPE") && value.kind == openToken:
		f.envelope(t)
	default:
		t.skip(value)
	}
}

// envelope reads the beginning of an ENVELOPE: date, subject, and the first sender.
func (f *Fetch) envelope(t *tokens) {
	depth := 1
	const most = 6 // up to the host of the first sender
	fields := make([][]byte, 0, most)
	for len(fields) < most && depth > 0 {
		switch next := t.next(); next.kind {
		case openToken:
			depth++
		case closeToken:
			depth--
		case endToken:
			return
		case atomToken, stringToken:
			if next.isNil() {
				next.value = nil
			}
			fields = append(fields, next.value)
		}
		if len(fields) == 3 && depth == 1 { // no sender
			break
		}
	}
	if len(fields) > 1 {
		f.Subject = fields[1]
	}
	if len(fields) == most && fields[4] != nil && fields[5] != nil {
		f.From = slices.Concat(fields[2], []byte(" <"), fields[4], []byte("@"), fields[5], []byte(">"))
	}
	for ; depth > 0; depth-- {
		t.skip(token{kind: openToken})
	}
}

// isHeaderItem recognises a header section: BODY[HEADER.FIELDS (FROM)]<0>, RFC822.HEADER,
// and what some call by the name it was asked for by.
func isHeaderItem(name []byte) bool {
	for _, section := range []string{"BODY[HEADER", "BODY.PEEK[HEADER"} {
		if len(name) >= len(section) && equalFold(name[:len(section)], section) {
			return true
		}
	}
	return equalFold(name, "RFC822.HEADER")
}

// repair finds what a broken item before it has swallowed: the header by the words in
// front of its literal, the UID, where a quote was left open, by its name.
func (r *Response) repair(f *Fetch, open bool) {
	from := 0
	for _, mark := range r.marks {
		before := bytes.TrimRight(r.text[from:mark.start], " ~")
		from = mark.end
		open := bytes.LastIndexByte(before, '[')
		if f.Header != nil || open < 0 || bytes.LastIndexByte(before, ']') < open {
			continue
		}
		if at := bytes.LastIndexAny(before[:open], " (") + 1; isHeaderItem(before[at:]) {
			f.Header = r.text[mark.start:mark.end:mark.end]
		}
	}
	if open {
		r.search(f)
	}
}

// search looks for what is missing by the items' names, wherever they stand.
func (r *Response) search(f *Fetch) {
	if f.UID == 0 {
		f.UID, _ = Number(digits(r.behind("UID")))
	}
	if !f.HasSize {
		f.Size, f.HasSize = Number(digits(r.behind("RFC822.SIZE")))
	}
	if value := r.behind("INTERNALDATE"); f.Date == nil && len(value) > 0 && value[0] == '"' {
		if end := bytes.IndexByte(value[1:], '"'); end > 0 {
			f.Date = value[1 : 1+end]
		}
	}
}

// behind is what stands behind the last item of a name.
func (r *Response) behind(name string) []byte {
	for rest := r.text; ; {
		at := bytes.LastIndex(rest, []byte(name))
		if at < 0 {
			return nil
		}
		if at > 0 && (rest[at-1] == ' ' || rest[at-1] == '(') {
			return bytes.TrimLeft(r.text[at+len(name):], " ")
		}
		rest = rest[:at]
	}
}

func digits(s []byte) []byte {
	end := 0
	for end < len(s) && s[end] >= '0' && s[end] <= '9' {
		end++
	}
	return s[:end]
}

// StatusData is what a STATUS response says of a folder; a false flag means that it did
// not say.
type StatusData struct {
	// Folder is the folder's name, as it is written.
	Folder                       []byte
	UIDNext, UIDValidity, Unseen uint64
	HasUIDNext, HasUIDValidity   bool
}

// StatusData reads a STATUS response (RFC 9051 section 7.3.4).
func (r *Response) StatusData() StatusData {
	t := r.tokens()
	s := StatusData{Folder: t.next().value}
	for {
		name := t.next()
		if name.kind == endToken {
			return s
		}
		if name.kind != atomToken {
			continue
		}
		before := t
		value := t.next()
		n, ok := Number(value.value)
		switch {
		case value.kind == closeToken:
			t = before
		case equalFold(name.value, "UIDNEXT"):
			s.UIDNext, s.HasUIDNext = n, ok
		case equalFold(name.value, "UIDVALIDITY"):
			s.UIDValidity, s.HasUIDValidity = n, ok
		case equalFold(name.value, "UNSEEN"):
			s.Unseen = n
		default:
			t.skip(value)
		}
	}
}

// Annotation is the value of an annotation in a METADATA response (RFC 5464 section 4.4.1),
// and whether there is a word of it; one that is not set has none.
func (r *Response) Annotation(name string) (value []byte, told bool) {
	t := r.tokens()
	t.skip(t.next()) // the folder's name
	for {
		entry := t.next()
		switch entry.kind {
		case endToken:
			return nil, false
		case openToken, closeToken:
			continue
		case atomToken, stringToken:
		}
		value := t.next()
		switch {
		case !bytes.EqualFold(entry.value, []byte(name)):
			t.skip(value)
		case value.isNil():
			return nil, true
		case value.kind == atomToken, value.kind == stringToken:
			return value.value, true
		}
	}
}

// Numbers calls yield with each number, or range of numbers, of a SEARCH or ESEARCH
// response, or of VANISHED, until it returns false.
func (r *Response) Numbers(yield func(first, last uint64) bool) {
	t := r.tokens()
	for {
		switch next := t.next(); next.kind {
		case endToken:
			return
		case openToken: // the tag of ESEARCH, the MODSEQ of SEARCH
			t.skip(next)
		case atomToken:
			for part := range bytes.SplitSeq(next.value, []byte(",")) {
				low, high, isRange := bytes.Cut(part, []byte(":"))
				first, ok := Number(low)
				last, also := Number(high)
				if !isRange {
					last, also = first, true
				}
				if ok && also && !yield(min(first, last), max(first, last)) {
					return
				}
			}
		case closeToken, stringToken:
		}
	}
}

// Words calls yield with each word of the data, such as a capability, until it returns
// false.
func (r *Response) Words(yield func(word []byte) bool) {
	t := r.tokens()
	for next := t.next(); next.kind != endToken; next = t.next() {
		if next.kind == atomToken && !yield(next.value) {
			return
		}
	}
}
