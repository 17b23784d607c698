// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package imaptest

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// oddTalk is one conversation of an odd server.
type oddTalk struct {
	*Peer

	server *OddServer
	told   int    // of the server's words
	opened bool   // a folder is open
	stale  uint64 // UIDNEXT when it was opened
	knows  bool   // ID was sent
}

// request is a command that came.
type request struct{ tag, name, args string }

func (s *OddServer) converse(p *Peer) {
	t := &oddTalk{Peer: p, server: s}
	defer t.bury()
	greeting, scripted := s.scripted("GREETING")
	if !scripted {
		greeting = "* OK [CAPABILITY {caps}] ready\r\n"
	}
	for open := t.say(request{}, greeting, "", ""); open; {
		var r request
		if r, open = t.command(); !open {
			return
		}
		if open = t.answer(r); open && r.name == "LOGOUT" {
			return
		}
	}
}

// hush ends what is sent; what the client still says is read, for else the kernel would
// take back what was sent and not read yet.
func (p *Peer) hush() {
	if half, ok := p.conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // gone is gone
	}
}

// bury reads until the client has gone, too.
func (t *oddTalk) bury() {
	t.hush()
	_ = t.conn.SetReadDeadline(time.Now().Add(5 * time.Second)) // for clients that never go
	_, _ = io.Copy(io.Discard, t.lines)                         // ends with the connection
}

// command reads the next command, the literals in it included.
func (t *oddTalk) command() (request, bool) {
	line, ok := t.hear()
	for ok && strings.HasSuffix(line, "}") {
		open := strings.LastIndexByte(line, '{')
		length, waits := line[open+1:len(line)-1], true
		if short, plus := strings.CutSuffix(length, "+"); plus {
			length, waits = short, false
		}
		n, err := strconv.Atoi(length)
		if open < 0 || err != nil {
			break
		}
		if waits {
			t.server.send(t.Peer, "+ go on\r\n")
		}
		literal := make([]byte, n)
		if _, err := io.ReadFull(t.lines, literal); err != nil {
			return request{}, false
		}
		var more string
		more, ok = t.hear()
		line = line[:open] + string(literal) + more
	}
	tag, rest, _ := strings.Cut(line, " ")
	name, args, _ := strings.Cut(rest, " ")
	r := request{tag, strings.ToUpper(name), args}
	if r.name == "UID" {
		name, r.args, _ = strings.Cut(r.args, " ")
		r.name += " " + strings.ToUpper(name)
	}
	return r, ok
}

// hear reads a line for the transcript.
func (t *oddTalk) hear() (string, bool) {
	line, ok := t.Line()
	if ok {
		t.server.note(t.Peer, "C:", line)
	} else {
		t.server.note(t.Peer, "C:", "left")
	}
	return line, ok
}

// answer answers a command, as it is scripted or honestly.
func (t *oddTalk) answer(r request) bool {
	text, scripted := t.server.scripted(r.name)
	if r.name == "IDLE" {
		return t.idle(r, text, scripted)
	}
	if r.name == "AUTHENTICATE" && !scripted && !strings.Contains(r.args, " ") { // no initial response
		if !t.server.send(t.Peer, "+ \r\n") {
			return false
		}
		response, ok := t.hear()
		if !ok {
			return false
		}
		r.args += " " + response
	}
	data, end := t.honest(r)
	if !scripted {
		text = "{data}{ok}"
	}
	return t.say(r, text, data, end)
}

// say sends an answer with its words replaced.
func (t *oddTalk) say(r request, text, data, end string) bool {
	s := t.server
	s.mu.Lock()
	text = replaceWords(text, func(word string) (string, bool) {
		switch word {
		case "tag":
			return r.tag, true
		case "args":
			return r.args, true
		case "data":
			return data, true
		case "ok":
			return end, true
		default:
			return s.folderWord(word)
		}
	})
	s.mu.Unlock()
	return s.send(t.Peer, text)
}

// scripted notes a command and returns the answer that is scripted for it.
func (s *OddServer) scripted(name string) (text string, is bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.came[name]++
	s.hint()
	answers := s.odd.On[name]
	if len(answers) == 0 {
		return "", false
	}
	return answers[min(s.came[name], len(answers))-1], true
}

// honest is the untagged part and the tagged end of an honest answer.
func (t *oddTalk) honest(r request) (data, end string) {
	s := t.server
	s.mu.Lock()
	defer s.mu.Unlock()
	end = r.tag + " OK done\r\n"
	switch r.name {
	case "CAPABILITY":
		return "* CAPABILITY " + s.odd.Capabilities + "\r\n", end
	case "ID":
		t.knows = true
		return "* ID NIL\r\n", end
	case "EXAMINE", "SELECT":
		if s.has(NeedsID) && !t.knows {
			return "", r.tag + " NO Unsafe login, who are you?\r\n"
		}
		return t.open(), end
	case "STATUS":
		return t.status(r.args), end
	case "NOOP":
		return strings.Join(t.news(), ""), end
	case "UID FETCH", "FETCH":
		return s.fetch(r, end)
	case "UID SEARCH":
		return s.search(r.args), end
	case "LOGOUT":
		return "* BYE bye\r\n", end
	case "AUTHENTICATE", "LOGIN":
		if s.odd.Login != "" && !s.lets(r) {
			return "", r.tag + " NO [AUTHENTICATIONFAILED] wrong\r\n"
		}
		return "", end
	default:
		return "", r.tag + " BAD unknown command\r\n"
	}
}

// open opens the folder. The lock is held.
func (t *oddTalk) open() string {
	s := t.server
	if !t.opened {
		t.told = len(s.words) // what was said before is in the answer
	}
	t.opened, t.stale = true, s.next
	return replaceWords("* FLAGS (\\Seen)\r\n* {count} EXISTS\r\n* 0 RECENT\r\n"+
		"* OK [UIDVALIDITY {validity}] ok\r\n* OK [UIDNEXT {next}] ok\r\n", s.folderWord)
}

// status answers the items that were asked for. The lock is held.
func (t *oddTalk) status(args string) string {
	s := t.server
	next := s.next
	if s.has(StaleStatus) && t.opened {
		next = t.stale
	}
	name, items, _ := strings.Cut(args, " (")
	var out []string
	for item := range strings.FieldsSeq(strings.Trim(strings.ToUpper(items), "()")) {
		switch item {
		case "UIDNEXT":
			out = append(out, fmt.Sprint("UIDNEXT ", next))
		case "UIDVALIDITY":
			out = append(out, "UIDVALIDITY "+s.odd.UIDValidity)
		case "MESSAGES", "UNSEEN":
			out = append(out, fmt.Sprint(item, " ", s.count()))
		}
	}
	return "* STATUS " + name + " (" + strings.Join(out, " ") + ")\r\n"
}

// news are the words this conversation was not told. The lock is held.
func (t *oddTalk) news() []string {
	if t.server.has(Silent) {
		return nil
	}
	words := t.server.words[t.told:]
	t.told = len(t.server.words)
	return words
}

// idle tells what is said until DONE comes.
func (t *oddTalk) idle(r request, text string, scripted bool) bool {
	if !scripted {
		text = "+ idling\r\n"
	}
	if strings.Contains(text, "{tag} ") { // refused: it does not stand
		return t.say(r, text, "", "")
	}
	if !t.say(r, text, "", "") {
		return false
	}
	ended, told := make(chan struct{}), make(chan bool, 1)
	go func() { told <- t.tellUntil(ended) }()
	line, ok := t.hear()
	close(ended)
	if open := <-told; !open || !ok || !strings.EqualFold(line, "DONE") {
		return false
	}
	if t.server.has(DropsAfterDone) {
		t.drop()
	}
	text, scripted = t.server.scripted("DONE")
	if !scripted {
		text = "{ok}"
	}
	return t.say(r, text, "", r.tag+" OK done\r\n")
}

// tellUntil sends each word as it is said. It returns false when one ended the
// conversation.
func (t *oddTalk) tellUntil(ended <-chan struct{}) bool {
	for {
		t.server.mu.Lock()
		changed, words := t.server.changed, t.news()
		t.server.mu.Unlock()
		for _, word := range words {
			if !t.server.send(t.Peer, word) {
				return false
			}
		}
		select {
		case <-changed:
		case <-ended:
			return true
		}
	}
}

// drop loses what is there, and what comes within a moment, as a server does that
// reads once and takes what it got for one line.
func (t *oddTalk) drop() {
	_ = t.conn.SetReadDeadline(time.Now().Add(5 * time.Millisecond)) // an error shows in the next read
	_, _ = io.Copy(io.Discard, t.lines)                              // ends with the deadline
	_ = t.conn.SetReadDeadline(time.Time{})
	t.lines = bufio.NewReader(t.conn)
}
