// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package imaptest

import (
	"strconv"
	"strings"
	"time"
)

// replaceWords replaces the words in braces that are known; others, such as the
// lengths of literals, stay.
func replaceWords(text string, known func(word string) (string, bool)) string {
	var out strings.Builder
	for {
		before, word, after, found := cutWord(text)
		out.WriteString(before)
		if !found {
			return out.String()
		}
		if value, ok := known(word); ok {
			out.WriteString(value)
		} else {
			out.WriteString("{" + word + "}")
		}
		text = after
	}
}

// cutWord cuts a text around its first word in braces.
func cutWord(text string) (before, word, after string, found bool) {
	open := strings.IndexByte(text, '{')
	if open < 0 {
		return text, "", "", false
	}
	end := strings.IndexByte(text[open:], '}')
	if end < 0 {
		return text, "", "", false
	}
	return text[:open], text[open+1 : open+end], text[open+end+1:], true
}

// folderWord knows the words about the folder. The lock is held.
func (s *OddServer) folderWord(word string) (string, bool) {
	switch word {
	case "caps":
		return s.odd.Capabilities, true
	case "validity":
		return s.odd.UIDValidity, true
	case "next":
		return strconv.FormatUint(s.next, 10), true
	case "count":
		return strconv.Itoa(s.count()), true
	default:
		return "", false
	}
}

// deed is a word that does something instead of standing for a text.
func deed(word string) (name, args string, is bool) {
	name, args, _ = strings.Cut(word, ":")
	switch name {
	case "times", "wait", "close", "hang":
		return name, args, true
	default:
		return "", "", false
	}
}

// send sends a text whose other words are replaced already. It returns false when that
// ends the conversation. The text between deeds is one answer.
func (s *OddServer) send(p *Peer, text string) bool {
	plain := ""
	for {
		before, word, after, found := cutWord(text)
		plain += before
		if !found {
			return s.write(p, s.form(plain))
		}
		text = after
		name, args, is := deed(word)
		if !is {
			plain += "{" + word + "}"
			continue
		}
		if !s.write(p, s.form(plain)) || !s.perform(p, name, args) {
			return false
		}
		plain = ""
	}
}

func (s *OddServer) perform(p *Peer, name, args string) bool {
	switch name {
	case "times":
		number, text, _ := strings.Cut(args, ":")
		n, _ := strconv.Atoi(number) // a table's number is one
		return s.repeat(p, text, n)
	case "wait":
		d, _ := time.ParseDuration(args) // as above
		<-time.After(d)                  // a slow server is what is played
		return true
	case "hang":
		p.Hang()
	case "close":
		p.hush()
	}
	return false
}

// repeat sends a text many times without holding all of it.
func (s *OddServer) repeat(p *Peer, text string, n int) bool {
	const most = 1 << 16
	for batch := max(most/max(len(text), 1), 1); n > 0; n -= batch {
		if !s.write(p, strings.Repeat(text, min(n, batch))) {
			return false
		}
	}
	return true
}

// write sends a text, in as many packets as the server makes of it.
func (s *OddServer) write(p *Peer, text string) bool {
	if text != "" {
		s.note(p, "S:", text)
	}
	for _, packet := range s.packets(text) {
		if _, err := p.conn.Write([]byte(packet)); err != nil {
			return false
		}
	}
	return true
}

func (s *OddServer) packets(text string) []string {
	if s.odd.Piece > 0 {
		var pieces []string
		for ; len(text) > s.odd.Piece; text = text[s.odd.Piece:] {
			pieces = append(pieces, text[:s.odd.Piece])
		}
		return append(pieces, text)
	}
	pieces := []string{text}
	for _, end := range s.odd.CutAfter {
		var finer []string
		for _, piece := range pieces {
			finer = append(finer, strings.SplitAfter(piece, end)...)
		}
		pieces = finer
	}
	return pieces
}

// form gives what is outside literals the form that the quirks say.
func (s *OddServer) form(text string) string {
	var edits []string
	if s.has(DoubleSpaces) {
		edits = append(edits, " ", "  ")
	}
	end := "\r\n"
	switch {
	case s.has(TrailingSpaces):
		end = " \r\n"
	case s.has(BlankLines):
		end = "\r\n\r\n"
	case s.has(BareLF):
		end = "\n"
	case s.has(DoubleCR):
		end = "\r\r\n"
	}
	replacer := strings.NewReplacer(append(edits, "\r\n", end)...)
	return outsideLiterals(text, func(words string) string {
		if s.has(LowerCase) {
			words = strings.ToLower(words)
		}
		return replacer.Replace(words)
	})
}

// outsideLiterals changes a text but for its literals, whose lengths must stay true.
func outsideLiterals(text string, change func(string) string) string {
	var out strings.Builder
	for {
		before, word, after, found := cutWord(text)
		if !found {
			out.WriteString(change(text))
			return out.String()
		}
		n, err := strconv.Atoi(word)
		body, literal := strings.CutPrefix(after, "\r\n")
		if err != nil || !literal || n < 0 || n > len(body) {
			out.WriteString(change(before) + "{" + word + "}")
			text = after
			continue
		}
		out.WriteString(change(before) + "{" + word + "}\r\n" + body[:n])
		text = body[n:]
	}
}
