// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package imaptest

import (
	"fmt"
	"strings"
)

// Answer answers a command honestly.
func (p *Peer) Answer(tag, command, args string) {
	switch command {
	case "EXAMINE", "SELECT", "STATUS":
		p.word = p.Server.Folder.word() // what is announced from here on is not told yet
	}
	validity, next, count := p.Server.Folder.ends()
	switch command {
	case "CAPABILITY":
		p.Send("* CAPABILITY " + p.Server.capabilities() + "\r\n")
	case "AUTHENTICATE":
		if !strings.Contains(args, " ") { // no initial response
			p.Send("+ \r\n")
			p.Line()
		}
	case "EXAMINE", "SELECT":
		p.told = next
		p.Send(fmt.Sprintf("* %d EXISTS\r\n* FLAGS (\\Seen)\r\n* OK [UIDVALIDITY %d] ok\r\n* OK [UIDNEXT %d] ok\r\n", count, validity, next))
	case "STATUS":
		p.Send(fmt.Sprintf("* STATUS INBOX (UIDNEXT %d UIDVALIDITY %d UNSEEN %d)\r\n", next, validity, count))
	case "IDLE":
		p.Send("+ idling\r\n")
		if !p.Idle() {
			return
		}
	case "UID":
		p.uid(args)
	case "LOGOUT":
		p.Send("* BYE bye\r\n" + tag + " OK done\r\n")
		p.Close()
		return
	case "NOOP":
		p.tellNews()
	case "LOGIN":
	default:
		p.Send(tag + " BAD unknown command\r\n")
		return
	}
	p.Send(tag + " OK done\r\n")
}

// tell tells how many mails there are.
func (p *Peer) tell() {
	p.word = p.Server.Folder.word()
	_, next, count := p.Server.Folder.ends()
	p.told = next
	p.Send(fmt.Sprintf("* %d EXISTS\r\n", count))
}

// tellNews tells of the mails that the connection does not see yet.
func (p *Peer) tellNews() {
	if _, next, _ := p.Server.Folder.ends(); p.Server.script.Views && next != p.told {
		p.tell()
	}
}

// Idle tells of mails that were announced since the connection was last told how many
// there are, until DONE comes; it returns false when the connection ends instead.
func (p *Peer) Idle() bool {
	ended := make(chan struct{})
	told := make(chan struct{})
	go func() {
		defer close(told)
		for p.tellNews(); ; {
			select {
			case <-p.word:
				p.tell()
			case <-ended:
				return
			}
		}
	}()
	line, ok := p.Line()
	close(ended)
	<-told
	return ok && strings.EqualFold(line, "DONE")
}

// uid answers UID FETCH and UID SEARCH of one range.
func (p *Peer) uid(args string) {
	words := strings.Fields(strings.ReplaceAll(args, "UID UID", "UID"))
	var from, upto uint32
	for _, word := range words {
		if n, _ := fmt.Sscanf(word, "%d:%d", &from, &upto); n == 2 {
			break
		}
		if n, _ := fmt.Sscanf(word, "%d", &from); n == 1 {
			upto = from
			break
		}
	}
	if p.Server.script.Views {
		upto = min(upto, p.told-1)
	}
	uids, seq := p.Server.Folder.between(from, upto)
	if strings.EqualFold(words[0], "SEARCH") {
		p.Send("* SEARCH " + strings.Trim(fmt.Sprint(uids), "[]") + "\r\n")
		return
	}
	for i, uid := range uids {
		if strings.Contains(strings.ToUpper(args), "HEADER") {
			p.Send(Envelope(seq+i, uid, fmt.Sprintf("mail %d", uid)))
		} else {
			p.Send(fmt.Sprintf("* %d FETCH (UID %d)\r\n", seq+i, uid))
		}
	}
}

// Envelope is the FETCH answer of a mail: its UID, time, size, sender and subject.
func Envelope(seq int, uid uint32, subject string) string {
	header := "From: Anna <anna@example.org>\r\nSubject: " + subject + "\r\nDate: Sun, 01 Mar 2026 10:00:00 +0000\r\n\r\n"
	return fmt.Sprintf("* %d FETCH (UID %d INTERNALDATE \"01-Mar-2026 10:00:00 +0000\" RFC822.SIZE 100 "+
		"BODY[HEADER.FIELDS (FROM SUBJECT DATE)]<0> {%d}\r\n%s)\r\n", seq, uid, len(header), header)
}
