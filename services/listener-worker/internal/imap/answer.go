// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package imap

import (
	"cmp"
	"math"
	"net/mail"
	"strconv"
	"strings"
	"time"

	"mailpush.internal/services/listener-worker/internal/header"
	"mailpush.internal/services/listener-worker/internal/imap/internal/wire"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// What is asked for of a mail, and less of one that cannot be read so. None of it sets
// \Seen.
const (
	askMail   = "(UID INTERNALDATE RFC822.SIZE BODY.PEEK[HEADER.FIELDS (FROM SUBJECT DATE)]<0.16384>)"
	askHeader = "(UID INTERNALDATE RFC822.SIZE BODY.PEEK[HEADER]<0.16384>)"
	askSize   = "(UID INTERNALDATE RFC822.SIZE)"
	askUID    = "(UID)"
)

// waysToAsk are the ways to ask for a mail in some detail, each for when the one before was
// not answered. Where only the UID is wanted, the size shows which mail an answer is about
// that leaves the UID out.
func waysToAsk(detail mailbox.Detail) []string {
	if detail == mailbox.UIDs {
		return []string{askUID, askSize}
	}
	return []string{askMail, askHeader, askSize}
}

// maxAnswered is how many mails of one answer are taken in, those that nobody asked for
// included.
const maxAnswered = 4 * mailbox.MaxMails

// found is a mail as far as it was shown.
type found struct {
	mail    mailbox.Mail
	seq     uint32
	whole   bool // what is wanted of it was shown
	damaged bool // it was asked for alone, and was not shown whole
}

// answer is what one FETCH brings. Attributes of a mail may come in several lines, among
// lines nobody asked for.
type answer struct {
	from, upto uint32
	mails      []found
	mute       int // lines that say nothing of what may be asked for
}

// take takes one response in.
func (a *answer) take(p *wire.Response) {
	switch {
	case p.Is("EXPUNGE"):
		for i := range a.mails {
			if uint64(a.mails[i].seq) > p.Number {
				a.mails[i].seq--
			}
		}
	case p.Is("VANISHED"):
		for i := range a.mails {
			a.mails[i].seq = 0 // what they are now is not known
		}
	case p.Is("FETCH"):
		a.fetched(p)
	}
}

func (a *answer) fetched(p *wire.Response) {
	f := p.Fetch()
	if f.UID > math.MaxUint32 || f.UID != 0 && (f.UID < uint64(a.from) || f.UID > uint64(a.upto)) {
		return
	}
	if f.UID == 0 && f.Header == nil && f.Date == nil && !f.HasSize {
		a.mute++ // flags that were changed, or the UID was asked for and is left out
		return
	}
	m := a.entry(uint32(f.UID), uint32(min(p.Number, math.MaxUint32)))
	if m == nil {
		return
	}
	if f.HasSize && f.Size <= math.MaxInt64 {
		m.mail.Size = int64(f.Size)
	}
	if t := internalDate(f.Date); !t.IsZero() {
		m.mail.ReceivedAt = t
	}
	if f.Header != nil {
		m.readHeader(f.Header)
	}
	m.mail.Subject = cmp.Or(m.mail.Subject, header.Text(f.Subject, header.MaxText))
	m.mail.From = cmp.Or(m.mail.From, header.Sender(f.From, header.MaxText))
}

// entry finds the mail a line is about, by its UID or else by its sequence number.
func (a *answer) entry(uid, seq uint32) *found {
	for i := len(a.mails) - 1; i >= 0; i-- {
		m := &a.mails[i]
		if uid != 0 && m.mail.UID == uid || seq != 0 && m.seq == seq && (uid == 0 || m.mail.UID == 0) {
			m.mail.UID, m.seq = max(m.mail.UID, uid), seq
			return m
		}
	}
	if len(a.mails) >= maxAnswered {
		return nil
	}
	a.mails = append(a.mails, found{mail: mailbox.Mail{UID: uid}, seq: seq})
	return &a.mails[len(a.mails)-1]
}

func (m *found) readHeader(raw []byte) {
	fields := header.Parse(raw)
	m.mail.From = cmp.Or(header.Sender(fields.From, header.MaxText), m.mail.From)
	m.mail.Subject = cmp.Or(header.Text(fields.Subject, header.MaxText), m.mail.Subject)
	m.whole = true
	if m.mail.ReceivedAt.IsZero() {
		m.mail.ReceivedAt = sentAt(fields.Date)
	}
}

// internalDate reads INTERNALDATE, in any form it is seen in; the zero time for none.
func internalDate(raw []byte) time.Time {
	if len(raw) == 0 {
		return time.Time{}
	}
	s := strings.TrimSpace(string(raw))
	for _, layout := range []string{"_2-Jan-2006 15:04:05 -0700", "2-Jan-2006 15:04:05 -0700", "2-Jan-2006 15:04:05", time.RFC3339} {
		if t, err := time.Parse(layout, s); err == nil {
			return plausible(t)
		}
	}
	return sentAt(raw)
}

// sentAt reads the date of RFC 5322.
func sentAt(raw []byte) time.Time {
	if len(raw) == 0 || len(raw) > 200 {
		return time.Time{}
	}
	t, err := mail.ParseDate(strings.TrimSpace(string(raw)))
	if err != nil {
		return time.Time{}
	}
	return plausible(t)
}

// plausible drops times of before there was mail, such as the zero time of a program.
func plausible(t time.Time) time.Time {
	if t.Year() < 1971 || t.Year() > 9999 {
		return time.Time{}
	}
	return t
}

// nameless takes the mails without a UID out; one that was asked for alone can only be
// that one. It returns how many are left over.
func (a *answer) nameless() int {
	count := 0
	kept := a.mails[:0]
	for _, m := range a.mails {
		if m.mail.UID == 0 && a.from == a.upto && len(a.mails) == 1 {
			m.mail.UID = a.from
		}
		if m.mail.UID == 0 {
			count++
			continue
		}
		kept = append(kept, m)
	}
	a.mails = kept
	return count
}

// setOf writes UIDs as a set.
func setOf(uids []uint32) string {
	var out []byte
	for i, uid := range uids {
		if i > 0 {
			out = append(out, ',')
		}
		out = strconv.AppendUint(out, uint64(uid), 10)
	}
	return string(out)
}
