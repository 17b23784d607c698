// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package imaptest

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// What a server answers for a mail.
const (
	honestRaw  = "* {seq} FETCH (UID {uid} {items})\r\n"
	honestDate = `"01-Mar-2026 10:00:00 +0000"`
)

// span is a range of UIDs or sequence numbers.
type span struct{ from, upto uint32 }

// uidSet reads a sequence set (RFC 9051 section 9); last stands for *.
func uidSet(text string, last uint32) ([]span, bool) {
	var set []span
	for part := range strings.SplitSeq(text, ",") {
		first, second, ranges := strings.Cut(part, ":")
		from, ok := number(first, last)
		upto := from
		if ok && ranges {
			upto, ok = number(second, last)
		}
		if !ok {
			return nil, false
		}
		set = append(set, span{min(from, upto), max(from, upto)})
	}
	return set, true
}

func number(text string, last uint32) (uint32, bool) {
	if text == "*" {
		return last, true
	}
	n, err := strconv.ParseUint(text, 10, 32)
	return uint32(n), err == nil
}

// asked finds the set of UIDs, or of sequence numbers, among the arguments of a command;
// without one all are asked for, as by UID SEARCH ALL.
func asked(args string, last uint32) func(n uint32) bool {
	for word := range strings.FieldsSeq(args) {
		if set, ok := uidSet(strings.Trim(word, "()"), last); ok {
			return func(n uint32) bool {
				return slices.ContainsFunc(set, func(s span) bool { return n >= s.from && n <= s.upto })
			}
		}
	}
	return func(uint32) bool { return true }
}

// there are the mails that are not gone, by ascending UID. The lock is held.
func (s *OddServer) there() []*OddMail {
	return slices.DeleteFunc(s.sorted(), func(m *OddMail) bool { return m.Gone })
}

func lastUID(mails []*OddMail) uint32 {
	if len(mails) == 0 {
		return 1
	}
	return mails[len(mails)-1].UID
}

// search answers UID SEARCH. The lock is held.
func (s *OddServer) search(args string) string {
	mails, out := s.there(), "* SEARCH"
	wanted := asked(args, lastUID(mails))
	for _, m := range mails {
		if wanted(m.UID) && (!m.odd() || !m.Hidden) {
			out += " " + strconv.FormatUint(uint64(m.UID), 10)
		}
	}
	return out + "\r\n"
}

// fetch answers UID FETCH, or FETCH. The lock is held.
func (s *OddServer) fetch(r request, end string) (data, tagged string) {
	mails := s.there()
	wanted := asked(r.args, lastUID(mails))
	if r.name == "FETCH" {
		wanted = asked(r.args, uint32(len(mails)))
	}
	var out []string
	last := ""
	for i, m := range mails {
		number := m.UID
		if r.name == "FETCH" {
			number = uint32(i + 1)
		}
		if !wanted(number) {
			last = m.show(honestRaw, r.args, i+1)
			continue
		}
		raw, deny := m.answer()
		if deny != "" {
			end = strings.NewReplacer("{tag}", r.tag, "{ok}", end).Replace(deny)
		}
		if raw != "" {
			out = append(out, m.show(raw, r.args, i+1))
		}
	}
	if len(out) == 0 && s.has(LastForNothing) {
		return last, end
	}
	if s.has(Descending) {
		slices.Reverse(out)
	}
	return strings.Join(out, ""), end
}

// answer is what a look at a mail shows: nothing when raw is empty. deny is the tagged end,
// if it is another one.
func (m *OddMail) answer() (raw, deny string) {
	switch {
	case !m.odd():
		return honestRaw, ""
	case m.Hidden, m.Deny != "" && m.Raw == "":
		return "", m.Deny
	default:
		return cmp.Or(m.Raw, honestRaw), m.Deny
	}
}

// show is a mail's answer to a UID FETCH.
func (m *OddMail) show(raw, args string, seq int) string {
	section := sectionOf(args)
	text := partial(m.Header, args)
	items := m.items(args, section, text)
	if items == "" {
		raw = strings.ReplaceAll(raw, " {items}", "")
	}
	return replaceWords(raw, func(word string) (string, bool) {
		switch word {
		case "uid":
			return strconv.FormatUint(uint64(m.UID), 10), true
		case "seq":
			return strconv.Itoa(seq), true
		case "items":
			return items, true
		case "date":
			return "INTERNALDATE " + m.Date, true
		case "size":
			return "RFC822.SIZE " + m.Size, true
		case "section":
			return section, true
		case "header":
			return asLiteral(text), true
		case "text":
			return text, true
		case "length":
			return strconv.Itoa(len(text)), true
		default:
			return "", false
		}
	})
}

func asLiteral(text string) string { return fmt.Sprintf("{%d}\r\n%s", len(text), text) }

// items is all that was asked for but the UID.
func (m *OddMail) items(args, section, text string) string {
	upper := strings.ToUpper(args)
	var out []string
	for _, item := range []struct{ name, value string }{
		{"FLAGS", "FLAGS ()"},
		{"INTERNALDATE", "INTERNALDATE " + m.Date},
		{"RFC822.SIZE", "RFC822.SIZE " + m.Size},
		{"ENVELOPE", m.envelope()},
		{"BODY", section + " " + asLiteral(text)},
	} {
		if strings.Contains(upper, item.name) {
			out = append(out, item.value)
		}
	}
	return strings.Join(out, " ")
}

// envelope is a short one, for clients that ask for it.
func (m *OddMail) envelope() string {
	const from = `(("Anna" NIL "anna" "example.org"))`
	return fmt.Sprintf(`ENVELOPE (NIL %s %s %s %s NIL NIL NIL NIL "<%d@example.org>")`, asLiteral(m.Subject), from, from, from, m.UID)
}

// sectionOf is how the answer calls the header section that was asked for (RFC 9051
// section 7.5.2): without PEEK, and with the origin of a partial alone.
func sectionOf(args string) string {
	at := strings.Index(strings.ToUpper(args), "BODY")
	end := strings.IndexByte(args, ']')
	if at < 0 || end < at {
		return ""
	}
	section := strings.Replace(strings.ToUpper(args[at:end+1]), "BODY.PEEK[", "BODY[", 1)
	if origin, _, is := partialOf(args); is {
		section += fmt.Sprintf("<%d>", origin)
	}
	return section
}

// partial is the part of a header that was asked for.
func partial(header, args string) string {
	origin, length, is := partialOf(args)
	if !is {
		return header
	}
	header = header[min(origin, len(header)):]
	return header[:min(length, len(header))]
}

func partialOf(args string) (origin, length int, is bool) {
	_, after, _ := strings.Cut(args, "]")
	if n, _ := fmt.Sscanf(after, "<%d.%d>", &origin, &length); n == 2 {
		return origin, length, origin >= 0 && length >= 0
	}
	return 0, math.MaxInt, false
}
