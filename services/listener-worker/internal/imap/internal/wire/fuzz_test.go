// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"bytes"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// FuzzReader cuts any bytes into responses, in pieces of any size, and checks that the
// pieces change nothing, that memory is bounded, and that every response can be asked
// anything.
func FuzzReader(f *testing.F) {
	for _, seed := range []string{
		"* 5 EXISTS\r\n* OK [ALERT x\r\nT1 OK [CAPABILITY A B] x\r\n+ x\r\n",
		"* 4 FETCH (UID 10 RFC822.SIZE 1 INTERNALDATE \"x\" BODY[HEADER.FIELDS (FROM)]<0> {3}\r\na:b)\r\n",
		"* 4 FETCH (ENVELOPE (\"a\"b\" ((NIL NIL \"a\" \"b\"))) UID 10 BODY[HEADER] ~{3}\r\na:b\r\n)\r\n",
		"* STATUS {5}\r\nINBOX (UIDNEXT 9 UIDVALIDITY 1 UNSEEN 0)\r\n* SEARCH 1 2:3\r\n* VANISHED 1,2:4\r\n",
		"* X ((((((\"\\\"\r\n* X {0}\r\n{0}\r\n\r\n\x00\r\r\n", "* 4 FETCH (UID {2}\r\n10 FLAGS ({1}\r\na))\r\n",
	} {
		f.Add([]byte(seed), uint8(3))
	}
	f.Fuzz(func(t *testing.T, in []byte, piece uint8) {
		whole, wholeErr := cutAll(t, in, len(in)+1)
		pieces, piecesErr := cutAll(t, in, int(piece)%17+1)
		if !errors.Is(piecesErr, wholeErr) {
			t.Fatalf("errors %v and %v", wholeErr, piecesErr)
		}
		if !slices.Equal(whole, pieces) {
			t.Errorf("cut as\n%q, in pieces\n%q", whole, pieces)
		}
	})
}

func cutAll(t *testing.T, in []byte, piece int) ([]string, error) {
	t.Helper()
	const limit = 1 << 10
	r := newReader(limit)
	r.Allow(1<<16, limit)
	var out []string
	for len(in) > 0 {
		n := copy(r.Space(), in[:min(piece, len(in))])
		in = in[n:]
		if err := r.Filled(n); err != nil {
			return nil, err // where depends on the pieces
		}
		for {
			p, ok, err := r.Next()
			if err != nil {
				return nil, err
			}
			if !ok {
				break
			}
			if p.Cut { // what is left of it depends on the pieces
				out = append(out, "cut")
			} else {
				out = append(out, describe(&p))
			}
			exercise(&p)
			if cap(r.text) > 4*limit+2*bufferSize || len(r.marks) > maxLiterals {
				t.Fatalf("%d bytes and %d literals are kept", cap(r.text), len(r.marks))
			}
		}
	}
	return out, nil
}

// exercise asks a response for everything, whatever it is.
func exercise(p *Response) {
	_, _, _ = p.Fetch(), p.StatusData(), p.Status()
	p.Numbers(func(uint64, uint64) bool { return true })
	p.Words(func([]byte) bool { return true })
}

// A mail speaks IMAP only within its literal.
func FuzzNothingInsideALiteralIsAResponse(f *testing.F) {
	for _, seed := range []string{
		"* 9 EXISTS\r\nT1 OK\r\n* X {5}\r\n", ")\r\nT1 NO [AUTHENTICATIONFAILED] x\r\n", ")\r\n* BYE x\r\n", "{18446744073709551615}\r\n",
		"\r\n{3}\r\n", "x {3+}\r\n", "~{1}", "\"", "\\\"", "((((((((((((((((((((((((((((((((((((((((", "))))))))", "]", "[ALERT",
		"+ x\r\n", "\r", "\n", "\r\n\r\n", "\x00\xff\r\x00", "UID 11 RFC822.SIZE 8 BODY[HEADER] {1}\r\nx", "* 4 FETCH (UID 11)\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		content = content[:min(len(content), 100)]
		in := "* 4 FETCH (UID 10 BODY[HEADER]<0> {" + strconv.Itoa(len(content)) + "}\r\n" + string(content) + " RFC822.SIZE 7)\r\n* 5 EXISTS\r\n"
		var got []string
		r := newReader(64 << 10)
		r.Allow(1<<20, 64<<10)
		feed(t, r, in, 13, func(p Response) {
			if p.Is("FETCH") {
				if f := p.Fetch(); !bytes.Equal(f.Header, content) || f.UID != 10 || f.Size != 7 {
					t.Errorf("%q became %+v", content, f)
				}
			}
			got = append(got, strings.ToUpper(string(p.Name)))
		})
		if !slices.Equal(got, []string{"FETCH", "EXISTS"}) {
			t.Errorf("%q became %q", content, got)
		}
	})
}
