// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// said cuts what a server says, fed in pieces of a size, into lines for people.
func said(t *testing.T, in string, piece int) []string {
	t.Helper()
	r := newReader(64 << 10)
	r.Allow(1<<30, 64<<10)
	var out []string
	feed(t, r, in, piece, func(p Response) { out = append(out, describe(&p)) })
	return out
}

func feed(t *testing.T, r *Reader, in string, piece int, each func(Response)) {
	t.Helper()
	for len(in) > 0 {
		n := copy(r.Space(), in[:min(piece, len(in))])
		in = in[n:]
		if err := r.Filled(n); err != nil {
			t.Fatal(err)
		}
		for {
			p, ok, err := r.Next()
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			each(p)
		}
	}
}

func describe(p *Response) string {
	switch p.Kind {
	case Untagged:
		switch {
		case p.Is("FETCH"):
			f := p.Fetch()
			size := "none"
			if f.HasSize {
				size = fmt.Sprint(f.Size)
			}
			return fmt.Sprintf("fetch %d: uid %d size %s date %q header %q", p.Number, f.UID, size, f.Date, f.Header)
		case p.Is("STATUS"):
			s := p.StatusData()
			return fmt.Sprintf("status %q: next %d validity %d unseen %d", s.Folder, s.UIDNext, s.UIDValidity, s.Unseen)
		case p.Is("SEARCH"), p.Is("ESEARCH"), p.Is("VANISHED"):
			var ranges []string
			p.Numbers(func(a, b uint64) bool { ranges = append(ranges, fmt.Sprintf("%d-%d", a, b)); return true })
			return "numbers " + strings.Join(ranges, " ")
		case p.Is("CAPABILITY"):
			var words []string
			p.Words(func(w []byte) bool { words = append(words, string(w)); return true })
			return "words " + strings.Join(words, " ")
		case isStatus(p.Name), p.Is("BYE"):
			s := p.Status()
			return fmt.Sprintf("%s [%s|%s] %s", p.Name, s.Code, s.Arg, s.Text)
		}
		return fmt.Sprintf("%s %d", p.Name, p.Number)
	case Tagged:
		s := p.Status()
		return fmt.Sprintf("%s: %s [%s|%s] %s", p.Tag, p.Name, s.Code, s.Arg, s.Text)
	case Tagless:
		return fmt.Sprintf("tagless %s: %s", p.Name, p.Status().Text)
	case Continuation:
		return fmt.Sprintf("+ %s", p.Status().Text)
	default:
		return fmt.Sprintf("junk %q", p.Text())
	}
}

func TestResponses(t *testing.T) {
	t.Parallel()
	const head = "BODY[HEADER.FIELDS (FROM SUBJECT DATE)]<0> {9}\r\nFrom: a\r\n"
	tests := map[string]struct {
		in   string
		want []string
	}{
		"plain":              {"* 5 EXISTS\r\n* OK hi\r\nT1 OK [READ-ONLY] done\r\n", []string{"EXISTS 5", "OK [|] hi", "T1: OK [READ-ONLY|] done"}},
		"bare LF":            {"* 5 EXISTS\n", []string{"EXISTS 5"}},
		"double spaces":      {"*  522  EXISTS  \r\n", []string{"EXISTS 522"}},
		"lower case":         {"* 5 exists\r\nt1 ok [uidnext 7] x\r\n", []string{"exists 5", "t1: ok [uidnext|7] x"}},
		"blank lines":        {"\r\n\n \r\n\r\n* 5 EXISTS\r\n\r\n", []string{"EXISTS 5"}},
		"a lone CR":          {"\r* 5 EXISTS\r\n* 6\r EXISTS\r\n", []string{"EXISTS 5", "EXISTS 6"}},
		"NUL":                {"\x00* 5 EXISTS\x00\r\n\x00\r\n", []string{"EXISTS 5"}},
		"no space":           {"*5 EXISTS\r\n", []string{"EXISTS 5"}},
		"a bare plus":        {"+\r\n+ still here\r\n", []string{"+ ", "+ still here"}},
		"no tag":             {" OK IDLE completed.\r\nno\r\n", []string{"tagless OK: IDLE completed.", "tagless no: "}},
		"unclosed bracket":   {"* OK [ALERT Mailbox is full\r\n* 5 EXISTS\r\n", []string{"OK [ALERT|] Mailbox is full", "EXISTS 5"}},
		"brackets in a code": {"* OK [PERMANENTFLAGS (\\Seen \\*)] x\r\n", []string{"OK [PERMANENTFLAGS|(\\Seen \\*)] x"}},
		"braces for people":  {"* OK see {30}\r\nT1 NO {5}\r\n+ {5}\r\n* BYE {9}\r\n", []string{"OK [|] see {30}", "T1: NO [|] {5}", "+ {5}", "BYE [|] {9}"}},
		"no IMAP":            {"220 smtp\r\nHTTP/1.1 400\r\n", []string{`junk "220 smtp"`, `junk "HTTP/1.1 400"`}},
		"data after words":   {"T1 OK done\r\n\r\n* STATUS {5}\r\nINBOX (UIDNEXT 3)\r\n", []string{"T1: OK [|] done", `status "INBOX": next 3 validity 0 unseen 0`}},
		"unknown":            {"* XAPPLE (\"{5}\" {3}\r\na\nb)\r\n* NOTIFICATIONOVERFLOW\r\n", []string{"XAPPLE 0", "NOTIFICATIONOVERFLOW 0"}},
		"flags":              {"* FLAGS (\\Seen OIB-Seen-[Gmail]/Important Важно \"x\r\n* FLAGS NIL\r\n", []string{"FLAGS 0", "FLAGS 0"}},
		"capabilities":       {"* CAPABILITY IMAP4rev1 ID(E AUTH=PLAIN\r\n", []string{"words IMAP4rev1 ID E AUTH=PLAIN"}},

		"status":            {"* STATUS INBOX (UIDNEXT 3 UIDVALIDITY 1 UNSEEN 2)\r\n", []string{`status "INBOX": next 3 validity 1 unseen 2`}},
		"status, odd":       {"* status \"Inbox\" (messages 4 uidnext 3 x-size (1 (2)) uidvalidity 18446744073709551616 UNSEEN -1) \r\n", []string{`status "Inbox": next 3 validity 18446744073709551615 unseen 0`}},
		"status, a literal": {"* STATUS {5}\r\nINBOX (UIDNEXT 3)\r\n", []string{`status "INBOX": next 3 validity 0 unseen 0`}},
		"status, broken":    {"* STATUS INBOX UIDNEXT 3 UNSEEN\r\n", []string{`status "INBOX": next 3 validity 0 unseen 0`}},
		"search":            {"* SEARCH 5 3  9\r\n* SEARCH\r\n* ESEARCH (TAG \"x 7\") UID ALL 1:3,7,9:8\r\n* SEARCH 5 (MODSEQ 9)\r\n", []string{"numbers 5-5 3-3 9-9", "numbers ", "numbers 1-3 7-7 8-9", "numbers 5-5"}},
		"vanished":          {"* VANISHED 1:2,4\r\n", []string{"numbers 1-2 4-4"}},

		"fetch":                {"* 4 FETCH (UID 10 INTERNALDATE \" 1-Mar-2026 10:00:00 +0000\" RFC822.SIZE 100 " + head + ")\r\n", []string{`fetch 4: uid 10 size 100 date " 1-Mar-2026 10:00:00 +0000" header "From: a\r\n"`}},
		"fetch, lower case":    {"* 4 fetch (uid 10 internaldate nil rfc822.size 100 body[header.fields (from)]<0> nil)\r\n", []string{`fetch 4: uid 10 size 100 date "" header ""`}},
		"fetch, quoted":        {"* 4 FETCH (BODY[HEADER.FIELDS (\"FROM\" SUBJECT)] \"From: \\\"a\\\\\" UID 10)\r\n", []string{`fetch 4: uid 10 size none date "" header "From: \"a\\"`}},
		"fetch, blanks":        {"* 4 FETCH  ( UID  10   RFC822.SIZE -1 " + head + "  ) \r\n\r\n", []string{`fetch 4: uid 10 size none date "" header "From: a\r\n"`}},
		"fetch, no list":       {"* 4 FETCH UID 10 " + head + "\r\n", []string{`fetch 4: uid 10 size none date "" header "From: a\r\n"`}},
		"fetch, blank line":    {"* 4 FETCH (UID 10 " + head + "\r\n)\r\n* 5 EXISTS\r\n", []string{`fetch 4: uid 10 size none date "" header "From: a\r\n"`, `junk ")"`, "EXISTS 5"}},
		"fetch, literal8":      {"* 4 FETCH (UID 10 BODY[HEADER]<0> ~{9}\r\nFrom: a\r\n)\r\n", []string{`fetch 4: uid 10 size none date "" header "From: a\r\n"`}},
		"fetch, empty":         {"* 4 FETCH (UID 10 BODY[HEADER]<0> {0}\r\n)\r\n* 4 FETCH (UID 10 BODY[HEADER]<0> \"\")\r\n", []string{`fetch 4: uid 10 size none date "" header ""`, `fetch 4: uid 10 size none date "" header ""`}},
		"fetch, odd flags":     {"* 4 FETCH (FLAGS (\\Seen Важно [x) UID 10 " + head + " FLAGS NIL MODSEQ (5))\r\n", []string{`fetch 4: uid 10 size none date "" header "From: a\r\n"`}},
		"fetch, not asked for": {"* 4 FETCH (ENVELOPE (NIL {5}\r\na)(\"b ((\"A\" NIL \"a\" \"b\")) NIL) UID 10 BODY[TEXT] {3}\r\n(((" + " " + head + ")\r\n", []string{`fetch 4: uid 10 size none date "" header "From: a\r\n"`}},
		"fetch, bare quote":    {"* 4 FETCH (UID 10 ENVELOPE (\"<id.with\" <quote@example.org>\")) " + head + ")\r\n", []string{`fetch 4: uid 10 size none date "" header "From: a\r\n"`}},
		"fetch, quote and UID": {"* 4 FETCH (ENVELOPE (\"<id.with\" <quote@example.org>\") UID 10 " + head + ")\r\n", []string{`fetch 4: uid 10 size none date "" header "From: a\r\n"`}},
		"fetch, too many ends": {"* 4 FETCH (ENVELOPE (NIL))) UID 10 " + head + ")\r\n", []string{`fetch 4: uid 10 size none date "" header "From: a\r\n"`}},
		"fetch, value missing": {"* 4 FETCH (UID) (RFC822.SIZE)\r\n", []string{`fetch 4: uid 0 size none date "" header ""`}},
		"fetch, deep":          {"* 4 FETCH (UID 10 X " + strings.Repeat("(", 40) + strings.Repeat(")", 40) + " RFC822.SIZE 5)\r\n* 5 EXISTS\r\n", []string{`fetch 4: uid 10 size none date "" header ""`, "EXISTS 5"}},
		"fetch, huge numbers":  {"* 99999999999999999999 FETCH (UID 99999999999999999999 RFC822.SIZE 9223372036854775808)\r\n", []string{`fetch 18446744073709551615: uid 18446744073709551615 size 9223372036854775808 date "" header ""`}},
		"a mail speaks IMAP":   {"* 4 FETCH (UID 10 BODY[HEADER]<0> {25}\r\nX: y\r\n* 9 EXISTS\r\nT1 OK\r\n)\r\n", []string{`fetch 4: uid 10 size none date "" header "X: y\r\n* 9 EXISTS\r\nT1 OK\r\n"`}},
		"a subject in braces":  {"* 4 FETCH (UID 10 X \"{30}\" Y \"{7}\")\r\n* 5 EXISTS\r\n", []string{`fetch 4: uid 10 size none date "" header ""`, "EXISTS 5"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, piece := range []int{1, 2, 3, 7, 4096} {
				if got := said(t, test.in, piece); !slices.Equal(got, test.want) {
					t.Errorf("in pieces of %d:\n got %q\nwant %q", piece, got, test.want)
				}
			}
		})
	}
}

// The header behind a megabyte that nobody asked for is found, and what comes after it.
func TestLongResponsesCostBoundedMemory(t *testing.T) {
	t.Parallel()
	const limit = 64 << 10
	for name, long := range map[string]string{
		"a list":       "ENVELOPE (" + strings.Repeat("(NIL NIL \"recipient\" \"example.org\")", 30_000) + ")",
		"a string":     "X \"" + strings.Repeat("x", 1<<20) + "\"",
		"parentheses":  "X " + strings.Repeat("(", 1<<20),
		"quotes":       "X " + strings.Repeat("\"\\", 1<<19),
		"a literal":    "X {1048576}\r\n" + strings.Repeat("x", 1<<20),
		"literals":     "X (" + strings.Repeat("{0}\r\n ", 1<<18) + ")",
		"little lines": "X (" + strings.Repeat("{1}\r\nx", 1<<18) + ")",
		"brackets":     "X" + strings.Repeat("[", 1<<20),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newReader(limit)
			r.Allow(1<<30, limit)
			got := 0
			in := "* 4 FETCH (UID 10 " + long + " BODY[HEADER]<0> {9}\r\nFrom: a\r\n)\r\n* 5 EXISTS\r\n"
			feed(t, r, in, 4096, func(p Response) {
				switch {
				case p.Is("FETCH"):
					if f := p.Fetch(); string(f.Header) == "From: a\r\n" && f.UID == 10 {
						got++
					}
				case p.Is("EXISTS"):
					got++
				}
				if size := cap(r.text) + cap(r.in) + 16*cap(r.marks); size > 8*limit {
					t.Errorf("the reader has grown to %d bytes", size)
				}
			})
			if got != 2 && name != "literals" && name != "little lines" { // more literals than are kept
				t.Errorf("%d of 2 responses were understood", got)
			}
		})
	}
}

func TestBudget(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		in   string
		want error
	}{
		"within":           {strings.Repeat("x", 99) + "\n", nil},
		"above":            {strings.Repeat("x", 101), ErrFlood},
		"a large literal":  {"* X {1000}\r\n", ErrFlood},
		"2^31":             {"* X {2147483648}\r\n", ErrFlood},
		"2^63":             {"* X {9223372036854775808}\r\n", ErrFlood},
		"more than 2^64":   {"* X {99999999999999999999999}\r\n", ErrFlood},
		"a negative one":   {"* X {-1}\r\n", nil},
		"not for people":   {"* OK {9223372036854775807}\r\n", nil},
		"in a quote, 2^63": {"* 1 FETCH (X \" {9223372036854775807}\r\n", ErrFlood},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newReader(1 << 10)
			r.Allow(100, 1<<10)
			err := r.Filled(copy(r.Space(), test.in))
			for ok := true; ok && err == nil; {
				_, ok, err = r.Next()
			}
			if !errors.Is(err, test.want) {
				t.Errorf("error = %v, want %v", err, test.want)
			}
		})
	}
}

// Between operations nothing is kept but what has come half.
func TestBuffersAreGivenBackWhenEmpty(t *testing.T) {
	t.Parallel()
	r := newReader(1 << 10)
	r.Allow(1<<20, 1<<10)
	feed(t, r, "* 5 EXI", 7, func(Response) { t.Error("half a response is none") })
	if r.Release(); r.text == nil {
		t.Fatal("half a response was dropped")
	}
	got := 0
	feed(t, r, "STS\r\n* 6 EXISTS\r\n", 100, func(Response) { got++ })
	if r.Release(); got != 2 || r.text != nil || r.in != nil {
		t.Errorf("%d responses, %d and %d bytes are kept", got, cap(r.text), cap(r.in))
	}
	feed(t, r, "T1 OK done\r\n\r\n", 100, func(Response) { r.Release() })
	r.Release()
	feed(t, r, "\r\n* 4 FETCH (UID 10 BODY[HEADER]<0> {9}\r\nFrom: a\r\n)\r\n", 100, func(p Response) {
		if got := describe(&p); got != `fetch 4: uid 10 size none date "" header "From: a\r\n"` {
			t.Errorf("after a line of words: %s", got)
		}
	})
}

// newReader makes a reader that keeps at most limit bytes of each response.
func newReader(limit int) *Reader { return &Reader{limit: limit} }
