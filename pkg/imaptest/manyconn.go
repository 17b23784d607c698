// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package imaptest

import (
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
)

const (
	// manyBuffer holds the longest command a client of Many sends.
	manyBuffer = 512

	manyCapabilities = "IMAP4rev1 IDLE AUTH=PLAIN SASL-IR"
)

type manyConn struct {
	tcp    net.Conn
	stream *tls.Conn
	write  sync.Mutex

	// Of the goroutine that serves it.
	idleTag  string // of IDLE that stands, empty when none does
	loginTag string // of AUTHENTICATE that waits for the credentials
	ended    bool   // by LOGOUT

	// Guarded by Many.
	box     *manyBox // nil before the login
	idle    bool
	arrived bool   // in IDLE once
	told    uint32 // UIDNEXT when it last heard of the folder
}

func (c *manyConn) say(text []byte) {
	c.write.Lock()
	defer c.write.Unlock()
	_, _ = c.stream.Write(text) // the reader sees the end
}

// serve answers what the client says. Commands that come together are answered together,
// as servers do.
func (m *Many) serve(c *manyConn) {
	c.say([]byte("* OK [CAPABILITY " + manyCapabilities + "] many\r\n"))
	buffer, used := make([]byte, manyBuffer), 0
	for {
		n, err := c.stream.Read(buffer[used:])
		used += n
		var said []byte
		for end := bytes.IndexByte(buffer[:used], '\n'); end >= 0; end = bytes.IndexByte(buffer[:used], '\n') {
			said = m.answer(said, c, string(bytes.TrimSpace(buffer[:end])))
			used = copy(buffer, buffer[end+1:used])
		}
		m.tell(c, said)
		if err != nil || c.ended || used == len(buffer) {
			return
		}
	}
}

// tell says the answers to some commands. Others may speak in between once IDLE stands,
// but not before the word that it does.
func (m *Many) tell(c *manyConn, said []byte) {
	c.write.Lock()
	defer c.write.Unlock()
	if c.idleTag != "" {
		if exists := m.beginIdle(c); exists > 0 {
			said = appendExists(said, exists)
		}
	}
	if len(said) > 0 {
		_, _ = c.stream.Write(said) // the reader sees the end
	}
}

func appendExists(said []byte, exists uint32) []byte {
	return fmt.Appendf(said, "* %d EXISTS\r\n", exists)
}

// answer appends the answer to one line.
func (m *Many) answer(said []byte, c *manyConn, line string) []byte {
	switch {
	case c.idleTag != "":
		m.endIdle(c)
		said = fmt.Appendf(said, "%s OK done\r\n", c.idleTag)
		c.idleTag = ""
		return said
	case c.loginTag != "":
		said = m.login(said, c, c.loginTag, plainLogin(line))
		c.loginTag = ""
		return said
	}
	words := strings.Fields(line)
	if len(words) < 2 {
		return append(said, "* BAD what?\r\n"...)
	}
	return m.do(said, c, words)
}

// do appends the answer to a command.
func (m *Many) do(said []byte, c *manyConn, words []string) []byte {
	tag, command := words[0], strings.ToUpper(words[1])
	switch command {
	case "IDLE":
		c.idleTag = tag
		return append(said, "+ idling\r\n"...)
	case "AUTHENTICATE":
		if len(words) < 4 {
			c.loginTag = tag
			return append(said, "+ \r\n"...)
		}
		return m.login(said, c, tag, plainLogin(words[3]))
	case "LOGIN":
		return m.login(said, c, tag, strings.Trim(word(words, 2), `"`))
	case "CAPABILITY":
		said = append(said, "* CAPABILITY "+manyCapabilities+"\r\n"...)
	case "EXAMINE", "SELECT":
		next := m.uidNext(c, true)
		said = fmt.Appendf(said, "* %d EXISTS\r\n* OK [UIDVALIDITY 1] ok\r\n* OK [UIDNEXT %d] ok\r\n", next-1, next)
	case "STATUS":
		next := m.uidNext(c, false)
		said = fmt.Appendf(said, "* STATUS INBOX (UIDNEXT %d UIDVALIDITY 1 UNSEEN %d)\r\n", next, next-1)
	case "LIST":
		said = append(said, "* LIST () \"/\" INBOX\r\n"...)
	case "NOOP":
		said = m.appendUntold(said, c)
	case "UID":
		said = appendMails(said, words, m.uidNext(c, false))
	case "LOGOUT":
		c.ended = true
		said = append(said, "* BYE bye\r\n"...)
	case "ID":
		said = append(said, "* ID NIL\r\n"...)
	default:
		return fmt.Appendf(said, "%s BAD unknown command\r\n", tag)
	}
	return fmt.Appendf(said, "%s OK done\r\n", tag)
}

// login appends the answer to a login; every one works that tells who it is.
func (m *Many) login(said []byte, c *manyConn, tag, name string) []byte {
	if name == "" {
		return fmt.Appendf(said, "%s BAD who?\r\n", tag)
	}
	m.enter(c, name)
	return fmt.Appendf(said, "%s OK done\r\n", tag)
}

// plainLogin is who logs in by PLAIN (RFC 4616), empty when that cannot be read.
func plainLogin(credentials string) string {
	raw, err := base64.StdEncoding.DecodeString(credentials)
	parts := bytes.Split(raw, []byte{0})
	if err != nil || len(parts) != 3 {
		return ""
	}
	return string(parts[1])
}

// word is the nth word, empty when there are fewer.
func word(words []string, n int) string {
	if n < len(words) {
		return words[n]
	}
	return ""
}

// appendMails appends the answer to UID FETCH and UID SEARCH of one range.
func appendMails(said []byte, words []string, next uint32) []byte {
	searches := strings.EqualFold(word(words, 2), "SEARCH")
	set := word(words, 3)
	if searches {
		set = word(words, 4) // behind the key UID
	}
	from, upto := uidRange(set, next-1)
	if searches {
		said = append(said, "* SEARCH"...)
	}
	for uid := from; uid <= upto && uid != 0; uid++ {
		switch {
		case searches:
			said = fmt.Appendf(said, " %d", uid)
		case strings.Contains(strings.ToUpper(strings.Join(words, " ")), " ENVELOPE"):
			said = fmt.Appendf(said, "* %d FETCH (UID %d INTERNALDATE \"01-Mar-2026 10:00:00 +0000\" RFC822.SIZE 100 "+
				"ENVELOPE (\"Sun, 01 Mar 2026 10:00:00 +0000\" \"many\" ((\"Anna\" NIL \"anna\" \"example.org\")) NIL NIL NIL NIL NIL NIL NIL))\r\n", uid, uid)
		default:
			said = append(said, Envelope(int(uid), uid, "many")...)
		}
	}
	if searches {
		said = append(said, "\r\n"...)
	}
	return said
}

// uidRange reads a UID or a range of them, as far as there are mails; from is 0 when
// there is none in it.
func uidRange(set string, last uint32) (from, upto uint32) {
	bound := func(text string) uint32 {
		if text == "*" {
			return last
		}
		n, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			return 0
		}
		return uint32(n)
	}
	lower, upper, ranged := strings.Cut(set, ":")
	from = bound(lower)
	upto = from
	if ranged {
		upto = bound(upper)
	}
	from, upto = min(from, upto), min(max(from, upto), last) // n:* is the last mail even below n
	if from == 0 || from > upto {
		return 0, 0
	}
	return from, upto
}
