// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package imaptest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Odd describes, as data, a server with one folder and oddities. The zero value is an
// honest one, whose folder holds 3 old mails and has UIDNEXT 10.
//
// Texts may hold words in braces, which are replaced when the text is sent:
//
//	{tag} {args}           of the command that is answered
//	{data}                 the untagged part of the honest answer
//	{ok}                   its tagged end; "{data}{ok}" is the honest answer
//	{caps} {validity} {next} {count}   capabilities, UIDVALIDITY, UIDNEXT, EXISTS
//	{times:1000:text}      text so many times, sent piece by piece
//	{wait:30ms}            nothing is sent for so long
//	{close} {hang}         the connection is closed; or stays, and is not served any more
type Odd struct {
	// Capabilities replace "IMAP4rev1 IDLE AUTH=PLAIN SASL-IR".
	Capabilities string
	// Login and Password are the only ones that are taken, by LOGIN or AUTHENTICATE PLAIN;
	// all are when Login is empty.
	Login, Password string
	// UIDValidity is the folder's, as it is written; "1700000000" when empty.
	UIDValidity string
	// UIDNext is the UID of the first mail to come; 10 when 0.
	UIDNext uint32
	// On replaces answers, by the upper-case name of the command: the first time it
	// comes the first one, and so on, the last one from then on. UID has a name with its
	// second word, such as "UID FETCH". IDLE's are sent in place of its continuation,
	// after which it stands unless they end the command; what follows DONE has the name
	// "DONE", and what a connection begins with "GREETING".
	On map[string][]string
	// Quirks are oddities that no text can say.
	Quirks Quirk
	// Piece is how many bytes go into one packet; 0 sends each answer in one.
	Piece int
	// CutAfter ends a packet after each of these texts.
	CutAfter []string
}

// Quirk is a set of oddities.
type Quirk uint

// The quirks.
const (
	// LowerCase says everything but literals in lower case.
	LowerCase Quirk = 1 << iota
	// DoubleSpaces doubles the spaces outside literals.
	DoubleSpaces
	// TrailingSpaces puts a space at the end of each line.
	TrailingSpaces
	// BlankLines puts an empty line after each line.
	BlankLines
	// BareLF ends lines with LF alone.
	BareLF
	// DoubleCR ends lines with CR CR LF.
	DoubleCR
	// Silent tells nothing in IDLE and NOOP.
	Silent
	// StaleStatus has STATUS answer what was true when the folder was opened.
	StaleStatus
	// DropsAfterDone loses what comes in one packet with DONE.
	DropsAfterDone
	// NeedsID refuses to open a folder before ID was sent (RFC 2971).
	NeedsID
	// Descending answers UID FETCH from the highest UID down.
	Descending
	// LastForNothing answers a UID FETCH that would bring nothing with the last mail of
	// the folder, as n:* does (RFC 9051 section 6.4.9).
	LastForNothing
)

// OddMail is a mail of an Odd server. Its texts may hold, beside the words of Odd:
//
//	{uid} {seq}            the mail's UID and sequence number
//	{items}                all that was asked for but the UID
//	{date} {size}          INTERNALDATE and RFC822.SIZE with their names
//	{section} {header}     the name of the header section as asked for, the header as a literal
//	{text} {length}        the header itself, and its length in bytes
type OddMail struct {
	// UID is the mail's; the next one when 0.
	UID uint32
	// From and Subject make the header; "Anna <anna@example.org>" and "mail <UID>" when empty.
	From, Subject string
	// Header replaces the header, the empty line at its end included.
	Header string
	// Date and Size replace the values of INTERNALDATE and RFC822.SIZE, as they are written.
	Date, Size string
	// Raw replaces the answer "* {seq} FETCH (UID {uid} {items})\r\n".
	Raw string
	// Deny replaces the tagged end of a UID FETCH that asks for the mail, which is shown
	// only if Raw is set. UID SEARCH finds it.
	Deny string
	// Hidden leaves the mail out of UID FETCH and UID SEARCH, while EXISTS and UIDNEXT
	// count it.
	Hidden bool
	// Gone has only UIDNEXT count it: it was expunged before anybody looked.
	Gone bool
	// First ends Raw, Deny and Hidden after so many looks at the mail, For after so long;
	// zero values never end them. A look is a UID FETCH or UID SEARCH that covers it.
	First int
	For   time.Duration

	at    time.Time // when it came
	looks int
}

// odd tells whether the mail still is, and counts a look at it.
func (m *OddMail) odd() bool {
	m.looks++
	return (m.First == 0 || m.looks <= m.First) && (m.For == 0 || time.Since(m.at) <= m.For)
}

// before counts the mails that an Odd server's folder holds at the start.
const before = 3

// OddServer runs an Odd. Its methods may be called from any goroutine.
type OddServer struct {
	*ScriptServer // for its connections; its Folder is not used

	odd Odd

	mu      sync.Mutex
	mails   []*OddMail
	next    uint64 // UIDNEXT; one above the last UID needs more than 32 bits
	words   []string
	came    map[string]int
	record  []string      // who said what, of all conversations, the last lines
	changed chan struct{} // closed and replaced when words or came have grown
}

// NewOdd starts an odd server on a free loopback port.
func NewOdd(odd Odd) (*OddServer, error) {
	odd.Capabilities = cmp.Or(odd.Capabilities, "IMAP4rev1 IDLE AUTH=PLAIN SASL-IR")
	odd.UIDValidity = cmp.Or(odd.UIDValidity, "1700000000")
	odd.UIDNext = cmp.Or(odd.UIDNext, 10)
	s := &OddServer{
		odd: odd, next: uint64(odd.UIDNext) - before, came: make(map[string]int), changed: make(chan struct{}),
	}
	for range before {
		s.Add(OddMail{Subject: "old"})
	}
	var err error
	s.ScriptServer, err = NewScript(Script{Accept: func(p *Peer) { s.converse(p) }})
	return s, err
}

// Add puts mails into the folder without telling anybody, and returns the last one's UID.
func (s *OddServer) Add(mails ...OddMail) (last uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range mails {
		m.UID = cmp.Or(m.UID, uint32(s.next))
		m.From = cmp.Or(m.From, "Anna <anna@example.org>")
		m.Subject = cmp.Or(m.Subject, fmt.Sprintf("mail %d", m.UID))
		m.Header = cmp.Or(m.Header, "From: "+m.From+"\r\nSubject: "+m.Subject+"\r\n\r\n")
		m.Date = cmp.Or(m.Date, honestDate)
		m.Size = cmp.Or(m.Size, "4321")
		m.at = time.Now()
		s.mails = append(s.mails, &m)
		s.next = max(s.next, uint64(m.UID)+1)
		last = m.UID
	}
	return last
}

// Arrive puts mails into the folder and tells of them once; it returns the last one's UID.
func (s *OddServer) Arrive(mails ...OddMail) (last uint32) {
	last = s.Add(mails...)
	s.Say("* {count} EXISTS\r\n")
	return last
}

// Remove takes a mail away without telling anybody, and returns its sequence number.
func (s *OddServer) Remove(uid uint32) (seq int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.sorted() {
		if !m.Gone {
			seq++
		}
		if m.UID == uid {
			m.Gone = true
			break
		}
	}
	return seq
}

// Expunge takes a mail away and tells of it.
func (s *OddServer) Expunge(uid uint32) { s.Say(fmt.Sprintf("* %d EXPUNGE\r\n", s.Remove(uid))) }

// Say sends a text to all who are in IDLE; others get it when they are, or say NOOP.
// Numbers in it are those of the time of the call.
func (s *OddServer) Say(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.words = append(s.words, replaceWords(text, s.folderWord))
	s.hint()
}

// Await waits until a command has come so many times.
func (s *OddServer) Await(ctx context.Context, command string, times int) error {
	for {
		s.mu.Lock()
		came, changed := s.came[command], s.changed
		s.mu.Unlock()
		if came >= times {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%s came %d times of %d: %w", command, came, times, ctx.Err())
		}
	}
}

// Commands counts how often a command came; UID FETCH and UID SEARCH are two.
func (s *OddServer) Commands(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.came[name]
}

// Transcript is the end of what was said, a packet or a command a line, each with the
// number of its connection.
func (s *OddServer) Transcript() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.record, "\n")
}

// note adds to the transcript.
func (s *OddServer) note(p *Peer, who, text string) {
	const lines, bytes = 200, 300
	if len(text) > bytes {
		text = text[:bytes] + "..."
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.record = append(s.record, fmt.Sprintf("[%d] %s %q", p.number, who, text))
	s.record = s.record[max(len(s.record)-lines, 0):]
}

// has tells whether the server has a quirk.
func (s *OddServer) has(q Quirk) bool { return s.odd.Quirks&q != 0 }

// hint wakes who waits for a change. The lock is held.
func (s *OddServer) hint() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// count is EXISTS. The lock is held.
func (s *OddServer) count() int {
	n := 0
	for _, m := range s.mails {
		if !m.Gone {
			n++
		}
	}
	return n
}

// sorted returns the mails by ascending UID, as a folder has them. The lock is held.
func (s *OddServer) sorted() []*OddMail {
	return slices.SortedFunc(slices.Values(s.mails), func(a, b *OddMail) int { return cmp.Compare(a.UID, b.UID) })
}
