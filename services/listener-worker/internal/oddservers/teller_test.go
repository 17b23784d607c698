// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package oddservers_test

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"mailpush.internal/pkg/imaptest/odd"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// teller stands for delivery: it keeps a cursor for each user, asks for what is above it,
// and notes what it is given. Its methods as a sink are called on the loop.
type teller struct {
	fetch func(mailbox.User, uint32)

	mu      sync.Mutex
	cursors map[mailbox.User]*cursor
	told    map[mailbox.User][]mailbox.Mail
	changed chan struct{} // closed and replaced when something was told
}

type cursor struct{ validity, uid uint32 }

func newTeller() *teller {
	return &teller{
		cursors: make(map[mailbox.User]*cursor), told: make(map[mailbox.User][]mailbox.Mail), changed: make(chan struct{}),
	}
}

// Head implements [listen.Sink].
func (s *teller) Head(u mailbox.User, b mailbox.End, _ time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.cursors[u]
	if c == nil || c.validity != b.UIDValidity {
		s.cursors[u] = &cursor{b.UIDValidity, b.UIDNext - 1}
		return
	}
	s.want(u, c, b)
}

// want asks for what is above the cursor, if anything is.
func (s *teller) want(u mailbox.User, c *cursor, b mailbox.End) {
	if b.UIDNext-1 > c.uid {
		s.fetch(u, c.uid+1)
	}
}

// Fetched implements [listen.Sink].
func (s *teller) Fetched(b mailbox.Read) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.cursors[b.User]
	if b.Err != nil || c == nil || b.End.UIDValidity != c.validity || b.From != c.uid+1 {
		return // a head follows
	}
	s.told[b.User] = append(s.told[b.User], b.Mails...)
	c.uid = max(c.uid, b.Upto)
	s.want(b.User, c, b.End)
	close(s.changed)
	s.changed = make(chan struct{})
}

// Told implements [listen.Sink]; IMAP tells of no mail by itself.
func (*teller) Told(mailbox.User, mailbox.End, mailbox.Mail, time.Time) {}

// Suspended implements [listen.Sink]; the listener's status says the same.
func (*teller) Suspended(mailbox.User, uint64, string) {}

// of returns what was told of a user's mail, and what is closed when there is more.
func (s *teller) of(u mailbox.User) ([]mailbox.Mail, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.told[u]), s.changed
}

// has tells whether a mail is among those.
func has(mails []mailbox.Mail, uid uint32) bool {
	return slices.ContainsFunc(mails, func(m mailbox.Mail) bool { return m.UID == uid })
}

// differences says what is wrong with what was told.
func differences(want []odd.Mail, got []mailbox.Mail) []string {
	var wrong []string
	for i := range max(len(want), len(got)) {
		switch {
		case i >= len(got):
			wrong = append(wrong, fmt.Sprintf("mail %d was not told of", want[i].UID))
		case i >= len(want):
			wrong = append(wrong, fmt.Sprintf("told too much: %+v", got[i]))
		default:
			wrong = append(wrong, difference(want[i], got[i])...)
		}
	}
	return wrong
}

func difference(want odd.Mail, got mailbox.Mail) []string {
	var wrong []string
	unlike := func(what, got, want string) {
		if got != want {
			wrong = append(wrong, fmt.Sprintf("%s is %q, want %q", what, got, want))
		}
	}
	unlike("UID", fmt.Sprint(got.UID), fmt.Sprint(want.UID))
	if want.From != "" || want.Blank {
		unlike(fmt.Sprintf("From of %d", want.UID), got.From, want.From)
	}
	if want.Subject != "" || want.Blank {
		unlike(fmt.Sprintf("Subject of %d", want.UID), got.Subject, want.Subject)
	}
	for _, r := range got.From + got.Subject {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			wrong = append(wrong, fmt.Sprintf("control character %U in %q, %q", r, got.From, got.Subject))
		}
	}
	if t := got.ReceivedAt; !t.IsZero() && (want.Timeless || t.Year() != 2026) {
		wrong = append(wrong, fmt.Sprintf("time of %d is made up: %s", want.UID, t))
	}
	if got.Size < 0 {
		wrong = append(wrong, fmt.Sprintf("size of %d is %d", want.UID, got.Size))
	}
	return wrong
}
