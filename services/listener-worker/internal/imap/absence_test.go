// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package imap

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"mailpush.internal/pkg/imaptest"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// lagging is a folder of three mails to which others come; FETCH and SEARCH do not show
// some of those that EXISTS and STATUS count.
type lagging struct {
	mu      sync.Mutex
	uids    []uint32 // that there are
	next    uint32   // UIDNEXT as STATUS tells it
	exists  int      // as it is told in IDLE and by NOOP; below zero: as many as there are
	hidden  []uint32
	says    string // by NOOP, once
	idle    string // in IDLE
	noFetch bool   // FETCH by number is unknown
	beside  string // goes with what UID FETCH brings
}

func (l *lagging) serve(t *testing.T) *talk {
	t.Helper()
	l.uids, l.next, l.exists = []uint32{1, 2, 3}, 4, -1
	count := func() int {
		if l.exists >= 0 {
			return l.exists
		}
		return len(l.uids)
	}
	locked := func(answer func(p *imaptest.Peer, args string) string) func(p *imaptest.Peer, tag, args string) {
		return func(p *imaptest.Peer, tag, args string) {
			l.mu.Lock()
			defer l.mu.Unlock()
			p.Send(answer(p, args) + tag + " OK done\r\n")
		}
	}
	opened := locked(func(*imaptest.Peer, string) string {
		return fmt.Sprintf("* %d EXISTS\r\n* OK [UIDVALIDITY 1] x\r\n* OK [UIDNEXT %d] x\r\n", len(l.uids), l.uids[len(l.uids)-1]+1)
	})
	k := serve(t, imaptest.Script{On: map[string]func(p *imaptest.Peer, tag, args string){
		"EXAMINE": opened, "SELECT": opened,
		"STATUS": locked(func(*imaptest.Peer, string) string {
			return fmt.Sprintf("* STATUS INBOX (UIDNEXT %d UIDVALIDITY 1 UNSEEN 0)\r\n", l.next)
		}),
		"NOOP": locked(func(*imaptest.Peer, string) string {
			says := l.says
			l.says = ""
			return says + fmt.Sprintf("* %d EXISTS\r\n", count())
		}),
		"UID": locked(func(_ *imaptest.Peer, args string) string {
			words := strings.Fields(strings.ReplaceAll(args, "UID UID", "UID"))
			set := words[1]
			if set == "UID" {
				set = words[2]
			}
			set = strings.ReplaceAll(set, "*", "4294967295")
			var out strings.Builder
			for i, uid := range l.uids {
				if !inSet(set, uid) || slices.Contains(l.hidden, uid) {
					continue
				}
				if strings.EqualFold(words[0], "FETCH") {
					out.WriteString(shown(args, i+1, uid))
				} else {
					fmt.Fprintf(&out, "* SEARCH %d\r\n", uid)
				}
			}
			if strings.EqualFold(words[0], "FETCH") {
				out.WriteString(l.beside)
			}
			return out.String()
		}),
		"FETCH": locked(func(_ *imaptest.Peer, args string) string {
			var seq int
			if n, _ := fmt.Sscanf(args, "%d", &seq); l.noFetch || n != 1 || seq < 1 || seq > len(l.uids) || slices.Contains(l.hidden, l.uids[seq-1]) {
				return ""
			}
			return fmt.Sprintf("* %d FETCH (UID %d)\r\n", seq, l.uids[seq-1])
		}),
		"IDLE": func(p *imaptest.Peer, tag, _ string) {
			l.mu.Lock()
			idle := l.idle
			l.mu.Unlock()
			p.Send("+ idling\r\n" + idle)
			p.Line()
			p.Send(tag + " OK done\r\n")
		},
	}}, nil)
	return k.open()
}

// comes has mails come, some of which are not shown.
func (l *lagging) comes(next uint32, uids, hidden []uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.uids = append(l.uids, uids...)
	l.next, l.hidden = next, hidden
}

func TestSilenceIsNotAbsence(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		next         uint32
		uids, hidden []uint32
		upto         uint32
		shown        []uint32
	}{
		"at the end":                  {7, []uint32{4, 5, 6}, []uint32{6}, 5, []uint32{4, 5}},
		"in the middle":               {7, []uint32{4, 5, 6}, []uint32{5}, 4, []uint32{4}},
		"at the beginning":            {7, []uint32{4, 5, 6}, []uint32{4}, 3, nil},
		"all":                         {7, []uint32{4, 5, 6}, []uint32{4, 5, 6}, 3, nil},
		"behind a jump":               {744_000_000, []uint32{743_024_218, 743_999_999}, []uint32{743_999_999}, 743_024_218, []uint32{743_024_218}},
		"before a jump":               {744_000_000, []uint32{4, 743_024_218}, []uint32{4}, 3, nil},
		"counted by STATUS alone":     {6, []uint32{4}, nil, 4, []uint32{4}},
		"nothing but the UIDNEXT yet": {5, nil, nil, 3, nil},
	} {
		for level, detail := range details() {
			t.Run(name+", "+level, func(t *testing.T) {
				t.Parallel()
				l := &lagging{}
				k := l.serve(t)
				k.detail = detail
				l.comes(test.next, test.uids, test.hidden)
				k.check(mailbox.Sync, test.next)
				k.read(mailbox.Range{From: 4, Upto: test.next - 1}, test.upto, mailbox.Absent, test.shown...)
				if len(k.said("NOOP")) < 1 {
					t.Error("it is not asked again after NOOP")
				}
				// Once it is believed to be gone it is passed over.
				var visible []uint32
				for _, uid := range test.uids {
					if !slices.Contains(test.hidden, uid) {
						visible = append(visible, uid)
					}
				}
				k.read(mailbox.Range{From: 4, Upto: test.next - 1, Gone: test.next - 1}, test.next-1, mailbox.NoGap, visible...)
				// And when it is shown in the end it was not too late.
				l.comes(test.next, nil, nil)
			})
		}
	}
}

func TestMailThatIsShownLateComes(t *testing.T) {
	t.Parallel()
	l := &lagging{}
	k := l.serve(t)
	l.comes(7, []uint32{4, 5, 6}, []uint32{5})
	k.check(mailbox.Sync, 7)
	k.read(mailbox.Range{From: 4, Upto: 6}, 4, mailbox.Absent, 4)
	l.comes(7, nil, nil)
	k.read(mailbox.Range{From: 5, Upto: 6}, 6, mailbox.NoGap, 5, 6)
}

func TestEvidenceOfAbsence(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		next uint32
		uids []uint32
		says string // when asked to look, or in IDLE
		read []uint32
	}{
		"the numbers leave no room":     {7, []uint32{4, 6}, "", []uint32{4, 6}},
		"UIDs jump":                     {743_024_219, []uint32{743_024_218}, "", []uint32{743_024_218}},
		"EXPUNGE of the last":           {5, nil, "* 4 EXISTS\r\n* 4 EXPUNGE\r\n", nil},
		"EXPUNGE of the last of two":    {6, []uint32{4}, "* 5 EXISTS\r\n* 5 EXPUNGE\r\n", []uint32{4}},
		"EXPUNGE of both":               {6, nil, "* 5 EXISTS\r\n* 4 EXPUNGE\r\n* 4 EXPUNGE\r\n", nil},
		"VANISHED":                      {6, []uint32{4}, "* 5 EXISTS\r\n* VANISHED 5\r\n", []uint32{4}},
		"EXPUNGE behind EXISTS":         {6, []uint32{5}, "* 5 EXISTS\r\n* 4 EXISTS\r\n* 4 EXPUNGE\r\n", []uint32{5}},
		"an old mail goes along":        {6, []uint32{4, 5}, "* 6 EXISTS\r\n* 1 EXPUNGE\r\n", []uint32{4, 5}},
		"a mail of the middle vanishes": {7, []uint32{4, 6}, "* 6 EXISTS\r\n* VANISHED 5\r\n", []uint32{4, 6}},
	} {
		for level, detail := range details() {
			t.Run(name+", "+level, func(t *testing.T) {
				t.Parallel()
				l := &lagging{}
				k := l.serve(t)
				k.detail = detail
				l.comes(test.next, test.uids, nil)
				l.mu.Lock()
				l.says = test.says
				l.mu.Unlock()
				k.check(mailbox.Sync, test.next)
				k.read(mailbox.Range{From: 4, Upto: test.next - 1}, test.next-1, mailbox.NoGap, test.read...)
			})
		}
	}
}

// A catch-up begins anywhere: what was there before the connection says its numbers.
func TestGapsOfACatchUpNeedNoWaiting(t *testing.T) {
	t.Parallel()
	l := &lagging{}
	k := l.serve(t)
	l.comes(100, []uint32{50, 90}, nil)
	k.check(mailbox.Reopen, 100)
	k.read(mailbox.Range{From: 3, Upto: 90}, 90, mailbox.NoGap, 3, 50, 90)
	k.read(mailbox.Range{From: 91, Upto: 99}, 90, mailbox.Absent) // STATUS counts more than was shown
}

func TestContradictionIsResolved(t *testing.T) {
	t.Parallel()
	l := &lagging{}
	k := l.serve(t)
	l.mu.Lock()
	l.idle = "* 4 EXISTS\r\n"
	l.mu.Unlock()
	l.comes(4, []uint32{4}, nil) // STATUS stands still
	k.idles()
	receive(t, "word of the mail", k.noticed)
	if got := k.check(mailbox.Ask, 5); got.Unsure {
		t.Error("it is not sure")
	}
	k.read(mailbox.Range{From: 4, Upto: 4}, 4, mailbox.NoGap, 4)
	k.idles()
	k.check(mailbox.Sync, 5) // and does not go back
}

func TestContradictionIsResolvedByOpeningAgain(t *testing.T) {
	t.Parallel()
	l := &lagging{}
	k := l.serve(t)
	l.mu.Lock()
	l.idle, l.hidden = "* 4 EXISTS\r\n", []uint32{4}
	l.mu.Unlock()
	l.comes(4, []uint32{4}, []uint32{4}) // STATUS stands still, SEARCH shows nothing
	k.idles()
	receive(t, "word of the mail", k.noticed)
	k.check(mailbox.Ask, 5)
}

func TestContradictionThatStaysIsToldOf(t *testing.T) {
	t.Parallel()
	l := &lagging{}
	k := l.serve(t)
	l.mu.Lock()
	l.idle = "* 4 EXISTS\r\n"
	l.exists = 4
	l.mu.Unlock()
	k.idles()
	receive(t, "word of the mail", k.noticed)
	if got := k.check(mailbox.Ask, 4); got.Unsure {
		t.Error("the folder, opened again, has three mails: that is no contradiction")
	}
}
