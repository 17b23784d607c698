// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package imap

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mailpush.internal/pkg/imaptest"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// three opens a folder of three mails, with answers of its own to UID FETCH.
func three(t *testing.T, fetches ...string) *talk {
	t.Helper()
	k := serve(t, imaptest.Script{}, answers{"UID FETCH": fetches})
	k.server.Folder.Add(3)
	return k.open()
}

const whole = "BODY[HEADER.FIELDS (FROM SUBJECT DATE)]<0> {31}\r\nFrom: a@b\r\nSubject: hello!\r\n\r\n"

func TestOneMailsDamageIsThatOnes(t *testing.T) {
	t.Parallel()
	const date = `INTERNALDATE "01-Mar-2026 10:00:00 +0000"`
	at := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	mail := mailbox.Mail{UID: 2, From: "a@b", Subject: "hello!", ReceivedAt: at, Size: 100}
	without := func(change func(m *mailbox.Mail)) mailbox.Mail {
		m := mail
		change(&m)
		return m
	}
	timeless := without(func(m *mailbox.Mail) { m.ReceivedAt = time.Time{} })
	for name, test := range map[string]struct {
		answer string
		want   mailbox.Mail
	}{
		"plain":               {"* 2 FETCH (UID 2 " + date + " RFC822.SIZE 100 " + whole + ")\r\n", mail},
		"in pieces":           {"* 2 FETCH (FLAGS ())\r\n* 2 FETCH (UID 2)\r\n* 2 FETCH (RFC822.SIZE 100)\r\n* 2 FETCH (" + date + ")\r\n* 2 FETCH (" + whole + ")\r\n", mail},
		"pieces with UIDs":    {"* 2 FETCH (" + date + " UID 2)\r\n* 2 FETCH (UID 2 FLAGS (\\Seen))\r\n* 2 FETCH (UID 2 " + whole + ")\r\n* 2 FETCH (UID 2 RFC822.SIZE 100)\r\n", mail},
		"no time, no size":    {"* 2 FETCH (UID 2 " + whole + ")\r\n", without(func(m *mailbox.Mail) { m.ReceivedAt, m.Size = time.Time{}, 0 })},
		"a negative size":     {"* 2 FETCH (UID 2 " + date + " RFC822.SIZE -1 " + whole + ")\r\n", without(func(m *mailbox.Mail) { m.Size = 0 })},
		"a size over all":     {"* 2 FETCH (UID 2 " + date + " RFC822.SIZE 99999999999999999999 " + whole + ")\r\n", without(func(m *mailbox.Mail) { m.Size = 0 })},
		"a time of RFC 2822":  {"* 2 FETCH (UID 2 INTERNALDATE \"Sun, 01 Mar 2026 10:00:00 +0000\" RFC822.SIZE 100 " + whole + ")\r\n", mail},
		"a time in any case":  {"* 2 FETCH (UID 2 INTERNALDATE \" 1-MAR-2026 10:00:00 +0000\" RFC822.SIZE 100 " + whole + ")\r\n", mail},
		"the zero time":       {"* 2 FETCH (UID 2 INTERNALDATE \"01-Jan-0001 00:00:00 +0000\" RFC822.SIZE 100 " + whole + ")\r\n", timeless},
		"no time at all":      {"* 2 FETCH (UID 2 INTERNALDATE \"soon\" RFC822.SIZE 100 " + whole + ")\r\n", timeless},
		"NIL for a time":      {"* 2 FETCH (UID 2 INTERNALDATE nil RFC822.SIZE 100 " + whole + ")\r\n", timeless},
		"odd flags":           {"* 2 FETCH (FLAGS (\\Seen Важно [x) UID 2 " + date + " RFC822.SIZE 100 " + whole + " FLAGS NIL)\r\n", mail},
		"a broken envelope":   {"* 2 FETCH (ENVELOPE (NIL \"a\"b\" NIL) UID 2 " + date + " RFC822.SIZE 100 " + whole + ")\r\n", mail},
		"a huge envelope":     {"* 2 FETCH (UID 2 " + date + " RFC822.SIZE 100 ENVELOPE (" + strings.Repeat("(NIL NIL \"a\" \"b.example.org\")", 20_000) + ") " + whole + ")\r\n", mail},
		"in lower case":       {"* 2 fetch (uid 2 " + strings.ToLower(date) + " rfc822.size 100 body[header.fields (from)]<0> {31}\r\nFrom: a@b\r\nSubject: hello!\r\n\r\n)\r\n", mail},
		"a blank before )":    {"* 2 FETCH (UID 2 " + date + " RFC822.SIZE 100 " + whole + " ) \r\n", mail},
		"a blank line behind": {"* 2 FETCH (UID 2 " + date + " RFC822.SIZE 100 " + whole + ")\r\n\r\n", mail},
		"and NO":              {"* 2 FETCH (UID 2 " + date + " RFC822.SIZE 100 " + whole + ")\r\n{tag} NO [SERVERBUG] some failed\r\n", mail},
		"without its UID":     {"* 2 FETCH (" + date + " RFC822.SIZE 100 " + whole + ")\r\n", mail},
		"twice":               {"* 2 FETCH (UID 2 " + date + " RFC822.SIZE 100 " + whole + ")\r\n* 2 FETCH (UID 2 " + date + " RFC822.SIZE 100 " + whole + ")\r\n", mail},
		"among others":        {"* 1 FETCH (UID 1 FLAGS (\\Seen))\r\n* 3 EXISTS\r\n* 0 RECENT\r\n* 2 FETCH (UID 2 " + date + " RFC822.SIZE 100 " + whole + ")\r\n* OK x\r\n", mail},
		"the sender's time":   {"* 2 FETCH (UID 2 RFC822.SIZE 100 BODY[HEADER]<0> {67}\r\nFrom: a@b\r\nSubject: hello!\r\nDate: Sun, 01 Mar 2026 10:00:00 +0000\r\n)\r\n", mail},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if !strings.Contains(test.answer, "{tag}") {
				test.answer += ok
			}
			k := three(t, test.answer)
			got := k.read(mailbox.Range{From: 2, Upto: 2}, 2, mailbox.NoGap, 2)
			if len(got.Mails) == 1 && !sameMail(got.Mails[0], test.want) {
				t.Errorf("mail = %+v\nwant %+v", got.Mails[0], test.want)
			}
		})
	}
}

func sameMail(a, b mailbox.Mail) bool {
	same := a.ReceivedAt.Equal(b.ReceivedAt)
	a.ReceivedAt, b.ReceivedAt = time.Time{}, time.Time{}
	return same && a == b
}

func TestOrderIsAscendingWhateverComes(t *testing.T) {
	t.Parallel()
	k := three(t, fetchOf(3, 3)+fetchOf(2, 2)+"* 1 EXPUNGE\r\n* 0 RECENT\r\n"+fetchOf(1, 2)+fetchOf(2, 3)+ok)
	k.read(mailbox.Range{From: 2, Upto: 3}, 3, mailbox.NoGap, 2, 3)
}

// poison is a folder some of whose mails cannot be read; an answer to a range with one of
// them ends as said, and shows or does not show the others.
type poison struct {
	bad      func(uid uint32) bool
	end      string
	showsOK  bool // the others are shown all the same
	unsearch bool
}

func (f poison) serve(t *testing.T, count int) *talk {
	t.Helper()
	k := serve(t, imaptest.Script{On: map[string]func(p *imaptest.Peer, tag, args string){
		"UID": func(p *imaptest.Peer, tag, args string) {
			words := strings.Fields(args)
			if strings.EqualFold(words[0], "SEARCH") {
				if f.unsearch {
					p.Send(tag + " BAD no\r\n")
					return
				}
				p.Answer(tag, "UID", args)
				return
			}
			hurt := false
			var healthy strings.Builder
			for uid := range uint32(count + 1) {
				if uid == 0 || !inSet(words[1], uid) {
					continue
				}
				if f.bad(uid) {
					hurt = true
				} else {
					healthy.WriteString(shown(args, int(uid), uid))
				}
			}
			if !hurt || f.showsOK {
				p.Send(healthy.String())
			}
			if hurt {
				p.Send(strings.ReplaceAll(f.end, "{tag}", tag))
			} else {
				p.Send(tag + " OK done\r\n")
			}
		},
	}}, nil)
	k.server.Folder.Add(count)
	return k.open()
}

func inSet(set string, uid uint32) bool {
	for part := range strings.SplitSeq(set, ",") {
		var from, upto uint32
		if n, _ := fmt.Sscanf(part, "%d:%d", &from, &upto); n == 1 {
			upto = from
		}
		if uid >= from && uid <= upto {
			return true
		}
	}
	return false
}

// readAll reads like a listener does, that announces the mails in doubt which it cannot
// read, and returns how they came.
func (k *talk) readAll(count uint32) (uids, unread []uint32, reads int) {
	k.t.Helper()
	known := uint32(0)
	for from := uint32(1); from <= count; reads++ {
		got, err := k.Fetch(mailbox.Range{From: from, Upto: count, Known: known, Detail: k.detail})
		if err != nil {
			k.t.Fatal(err)
		}
		for _, mail := range got.Mails {
			uids = append(uids, mail.UID)
			if mail.Subject == "" {
				unread = append(unread, mail.UID)
			}
		}
		if got.Upto < from && got.Gap != mailbox.Damaged || reads > 100 {
			k.t.Fatalf("read %+v from %d", got, from)
		}
		if got.Gap == mailbox.Damaged {
			known = got.Upto + 1
		}
		from = got.Upto + 1
	}
	return uids, unread, reads
}

func TestRangesThatFailAreHalvedDownToTheMail(t *testing.T) {
	t.Parallel()
	const count = 20
	var all []uint32
	for uid := range uint32(count) {
		all = append(all, uid+1)
	}
	for name, bad := range map[string][]uint32{
		"first": {1}, "middle": {11}, "last": {count}, "two": {7, 8}, "ends": {1, count}, "all": all, "none": nil,
	} {
		for how, f := range map[string]poison{
			"NO":                  {end: "{tag} NO [SERVERBUG] internal error\r\n"},
			"NO and the others":   {end: "{tag} NO some\r\n", showsOK: true},
			"BAD":                 {end: "{tag} BAD what?\r\n"},
			"OK and damage":       {end: "* 99 FETCH (RFC822.SIZE 5 BODY[HEADER]<0> {3}\r\nx:y)\r\n{tag} NO x\r\n", showsOK: true},
			"NO without a SEARCH": {end: "{tag} NO [SERVERBUG] internal error\r\n", unsearch: true},
		} {
			for level, detail := range details() {
				t.Run(name+", "+how+", "+level, func(t *testing.T) {
					t.Parallel()
					folder := f // the other levels have one of their own
					folder.bad = func(uid uint32) bool { return slices.Contains(bad, uid) }
					k := folder.serve(t, count)
					k.detail = detail
					uids, unread, reads := k.readAll(count)
					if !slices.Equal(uids, all) || how != "OK and damage" && detail == mailbox.Envelopes && !slices.Equal(unread, bad) {
						t.Errorf("read %v, of which %v without a subject", uids, unread)
					}
					if reads > 2*len(bad)+1 {
						t.Errorf("%d reads", reads)
					}
				})
			}
		}
	}
}

// A mail whose header is not shown is asked for in other ways, and taken for what it is.
func TestMailWithoutItsHeaderIsAskedForInOtherWays(t *testing.T) {
	t.Parallel()
	bare := "* 2 FETCH (UID 2 RFC822.SIZE 100)\r\n" + ok
	k := three(t, bare, bare, fetchOf(2, 2)+ok)
	got := k.read(mailbox.Range{From: 2, Upto: 2}, 2, mailbox.NoGap, 2)
	if got.Mails[0].Subject != "hello" {
		t.Errorf("mail = %+v", got.Mails[0])
	}
	k = three(t, bare)
	k.read(mailbox.Range{From: 2, Upto: 2}, 1, mailbox.Damaged)
	got = k.read(mailbox.Range{From: 2, Upto: 2, Known: 2}, 2, mailbox.NoGap, 2)
	if want := (mailbox.Mail{UID: 2, Size: 100}); got.Mails[0] != want {
		t.Errorf("mail = %+v, want %+v", got.Mails[0], want)
	}
}

func TestMailToSkipIsNotAskedFor(t *testing.T) {
	t.Parallel()
	k := three(t, "(honest)")
	k.read(mailbox.Range{From: 1, Upto: 3, Skip: 2}, 2, mailbox.NoGap, 1, 2)
	for _, command := range k.said("UID FETCH") {
		if inSet(strings.Fields(command)[2], 2) || inSet(strings.Fields(command)[2], 3) {
			t.Errorf("asked %q", command)
		}
	}
}

// sparse is a folder of UIDs far apart.
type sparse struct {
	mu      sync.Mutex
	uids    []uint32
	fetches int
	lines   int
}

func (s *sparse) serve(t *testing.T) *talk {
	t.Helper()
	slices.Sort(s.uids)
	answer := func(p *imaptest.Peer, tag, args string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		words := strings.Fields(strings.ReplaceAll(args, "UID UID", "UID"))
		set := words[1]
		if set == "UID" {
			set = words[2]
		}
		s.fetches++
		var numbers []string
		for i, uid := range s.uids {
			if !inSet(set, uid) {
				continue
			}
			s.lines++
			if numbers = append(numbers, fmt.Sprint(uid)); strings.EqualFold(words[0], "FETCH") {
				p.Send(imaptest.Envelope(i+1, uid, "hello"))
			}
		}
		if strings.EqualFold(words[0], "SEARCH") {
			p.Send("* SEARCH " + strings.Join(numbers, " ") + "\r\n")
		}
		p.Send(tag + " OK done\r\n")
	}
	k := serve(t, imaptest.Script{On: map[string]func(p *imaptest.Peer, tag, args string){
		"UID": answer,
		"EXAMINE": func(p *imaptest.Peer, tag, _ string) {
			p.Send(fmt.Sprintf("* %d EXISTS\r\n* OK [UIDVALIDITY 1] x\r\n* OK [UIDNEXT 4294967295] x\r\n%s OK done\r\n", len(s.uids), tag))
		},
		"STATUS": func(p *imaptest.Peer, tag, _ string) {
			p.Send("* STATUS INBOX (UIDNEXT 4294967295 UIDVALIDITY 1 UNSEEN 0)\r\n" + tag + " OK done\r\n")
		},
		"FETCH": func(p *imaptest.Peer, tag, args string) {
			var seq int
			if n, _ := fmt.Sscanf(args, "%d", &seq); n == 1 && seq >= 1 && seq <= len(s.uids) {
				p.Send(fmt.Sprintf("* %d FETCH (UID %d)\r\n", seq, s.uids[seq-1]))
			}
			p.Send(tag + " OK done\r\n")
		},
	}}, nil)
	return k.open()
}

// Whatever the UIDs are, up to the last one there can be, all mails come, once, in order,
// and in round trips that their number bounds.
func TestSparseUIDsCostRoundTripsByMails(t *testing.T) {
	t.Parallel()
	const last = math.MaxUint32 - 1
	random := rand.New(rand.NewPCG(1, 2))
	folders := map[string][]uint32{
		"none": {}, "a jump": {743_024_218}, "the last": {last}, "both ends": {1, last}, "near the end": {last - 2, last - 1, last},
		"powers": nil, "dense and far": nil,
	}
	for shift := range 32 {
		folders["powers"] = append(folders["powers"], min(uint32(1)<<shift, last))
	}
	for i := range uint32(250) {
		folders["dense and far"] = append(folders["dense and far"], 4_000_000_000+i)
	}
	for i := range 10 {
		name := fmt.Sprintf("random %d", i)
		for range random.IntN(150) {
			folders[name] = append(folders[name], 1+random.Uint32N(last)>>random.IntN(32))
		}
		slices.Sort(folders[name])
		folders[name] = slices.Compact(folders[name])
	}
	for name, uids := range folders {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &sparse{uids: slices.Clone(uids)}
			k := s.serve(t)
			var got []uint32
			reads := 0
			for from := uint64(1); from <= last; reads++ {
				r, err := k.Fetch(mailbox.Range{From: uint32(from), Upto: last})
				if err != nil || uint64(r.Upto) < from || r.Gap != mailbox.NoGap || len(r.Mails) > mailbox.MaxMails {
					t.Fatalf("from %d: %d mails, up to %d, doubt %d, %v", from, len(r.Mails), r.Upto, r.Gap, err)
				}
				for _, mail := range r.Mails {
					got = append(got, mail.UID)
				}
				from = uint64(r.Upto) + 1
			}
			if !slices.Equal(got, s.uids) {
				t.Errorf("got %d mails of %d", len(got), len(s.uids))
			}
			if s.fetches > 12*reads || reads > 1+len(uids)/mailbox.MaxMails {
				t.Errorf("%d round trips in %d reads for %d mails", s.fetches, reads, len(uids))
			}
		})
	}
}
