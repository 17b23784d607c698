// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package imap

import (
	"strings"
	"testing"
	"time"

	"mailpush.internal/pkg/imaptest"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// speaks is a server that says something in IDLE before it tells of a mail, and ends IDLE
// in its own way.
func speaks(words, end string) imaptest.Script {
	return imaptest.Script{On: map[string]func(p *imaptest.Peer, tag, args string){
		"IDLE": func(p *imaptest.Peer, tag, _ string) {
			p.Send("+ idling\r\n" + words)
			p.Server.Folder.Add(1)
			p.Send("* 4 EXISTS\r\n")
			if line, alive := p.Line(); alive && strings.EqualFold(line, "DONE") {
				p.Send(strings.ReplaceAll(end, "{tag}", tag))
			}
		},
	}}
}

func TestWhatIsNotUnderstoodIsSkipped(t *testing.T) {
	t.Parallel()
	for name, words := range map[string]string{
		"a bare plus":        "+\r\n+ still here\r\n",
		"a blank line":       "\r\n\n\r\n",
		"unknown data":       "* XAPPLEPUSHSERVICE \"a\" \"b\"\r\n* NOTIFICATIONOVERFLOW\r\n",
		"a literal":          "* XFOO {12}\r\n* BYE hidden\r\n",
		"VANISHED":           "* VANISHED 1:2,9\r\n* VANISHED (EARLIER) 7\r\n",
		"flags":              "* FLAGS NIL\r\n* 2 FETCH (FLAGS (\\Seen Важно [x) MODSEQ (7))\r\n* FLAGS (\"a)\r\n",
		"an open bracket":    "* OK [ALERT Mailbox is almost full\r\n",
		"data of others":     "* STATUS \"Caf&AOk-\" (UIDNEXT 9)\r\n* ESEARCH (TAG \"x\") UID ALL 1:3\r\n* LIST (\\X) \"/\" \"a b\"\r\n* NAMESPACE NIL NIL NIL\r\n",
		"answers for nobody": "T99 OK done\r\nA1 NO [LIMIT] x\r\nT1 OK again\r\nt2 bad x\r\n",
		"nothing at all":     "\x00\r\n\x00\xff{}{}\r\n\r\r\r\n)\r\n",
		"parentheses":        "* X " + strings.Repeat("(", 100_000) + "\r\n",
		"a long line":        "* OK " + strings.Repeat("x", 1<<20) + "\r\n",
		"8-bit":              "* OK gr\xfc\xdfe \x80\r\n",
		"numbers":            "* 99999999999999999999 EXPUNGE\r\n* 0 EXPUNGE\r\n* 4294967296 RECENT\r\n* -1 EXISTS\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := serve(t, speaks(words, "{tag} OK done\r\n"), nil)
			k.server.Folder.Add(3)
			k.open().idles()
			receive(t, "word of the mail", k.noticed)
			k.check(mailbox.Ask, 5)
			if n := k.server.Accepted(); n != 1 {
				t.Errorf("%d connections", n)
			}
		})
	}
}

func TestIdleEndsInManyWays(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]string{
		"honestly": "{tag} OK done\r\n", "without a tag": " OK IDLE completed.\r\n", "untagged": "* OK done\r\n",
		"not at all": "", "with BAD": "{tag} BAD what?\r\n", "with blank lines": "\r\n\r\n{tag} OK\r\n\r\n", "with data": "* 1 RECENT\r\n+ x\r\n{tag} OK x\r\n",
	} {
		for _, look := range []mailbox.Look{mailbox.Ask, mailbox.Sync, mailbox.Reopen} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				k := serve(t, speaks("", end), nil)
				k.server.Folder.Add(3)
				k.open().idles()
				receive(t, "word of the mail", k.noticed)
				began := time.Now()
				k.check(look, 5)
				k.idles()
				k.check(look, 6)
				if took := time.Since(began); took > 4*time.Second {
					t.Errorf("two looks took %v", took)
				}
				if n := k.server.Accepted(); n != 1 {
					t.Errorf("%d connections", n)
				}
			})
		}
	}
}

// greedy drops what comes along with DONE, as a server does that reads all there is.
func greedy(dropped chan<- string) imaptest.Script {
	return imaptest.Script{On: map[string]func(p *imaptest.Peer, tag, args string){
		"IDLE": func(p *imaptest.Peer, tag, _ string) {
			p.Send("+ idling\r\n")
			p.Line()
			for p.Buffered() > 0 {
				line, _ := p.Line()
				dropped <- line
			}
			p.Send(tag + " OK done\r\n")
		},
	}}
}

// A server that drops what comes with DONE is found out by the first look, and gets the
// next command after IDLE's end from then on, on all its connections.
func TestServerThatDropsWhatComesWithDoneIsRemembered(t *testing.T) {
	t.Parallel()
	dropped := make(chan string, 10)
	k := serve(t, greedy(dropped), nil).open()
	look := func(how mailbox.Look, within time.Duration) {
		t.Helper()
		k.idles()
		began := time.Now()
		k.check(how, 1)
		if took := time.Since(began); took > within {
			t.Errorf("a look took %v", took)
		}
	}
	look(mailbox.Ask, 3*grace)
	if len(dropped) == 0 {
		t.Error("nothing went along with DONE of a host that is not known")
	}
	for len(dropped) > 0 {
		<-dropped
	}
	look(mailbox.Sync, grace/2)
	look(mailbox.Ask, grace/2)
	k.open().idles()
	k.check(mailbox.Sync, 1)
	if len(dropped) > 0 {
		t.Errorf("%q was sent along with DONE again", <-dropped)
	}
}

func TestServerThatTakesWhatComesWithDoneGoesOnGettingIt(t *testing.T) {
	t.Parallel()
	k := serve(t, imaptest.Script{}, nil).open()
	for _, how := range []mailbox.Look{mailbox.Ask, mailbox.Sync, mailbox.Ask} {
		k.idles().check(how, 1)
		if !k.host.takesPipelines() {
			t.Fatal("commands do not go along with DONE any more")
		}
	}
}

// A server that ends IDLE by itself is looked at, and idles anew.
func TestServerThatEndsIdleByItself(t *testing.T) {
	t.Parallel()
	k := serve(t, imaptest.Script{On: map[string]func(p *imaptest.Peer, tag, args string){
		"IDLE": func(p *imaptest.Peer, tag, _ string) { p.Send("+ idling\r\n" + tag + " OK enough\r\n") },
	}}, nil).open().idles()
	receive(t, "word of a change", k.noticed)
	k.check(mailbox.Ask, 1)
	k.idles()
}

func TestLossIsToldOnce(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		words string
		class mailbox.Class
		says  string
	}{
		"BYE":              {"* BYE Server shutting down.\r\n", mailbox.ClassLost, "mail store said goodbye: Server shutting down."},
		"BYE of a limit":   {"* BYE Too many connections\r\n", mailbox.ClassLimit, "mail store said goodbye: Too many connections"},
		"the end":          {"(close)", mailbox.ClassLost, "mail store closed the connection"},
		"a literal":        {"* X {9223372036854775807}\r\n", mailbox.ClassGarbage, "mail store sent more than any honest answer has"},
		"BYE, then an end": {"* bye [UNAVAILABLE] x\r\n(close)", mailbox.ClassLimit, "mail store said goodbye: [UNAVAILABLE] x"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := serve(t, imaptest.Script{}, answers{"IDLE": {"+ idling\r\n" + test.words}}).open().idles()
			failure := receive(t, "loss", k.lost)
			if failure.Class != test.class || failure.Reason != test.says {
				t.Errorf("lost: %v, %q", failure.Class, failure.Reason)
			}
			if _, err := k.Check(mailbox.Ask); err == nil {
				t.Error("it answers all the same")
			}
			if len(k.lost) > 0 {
				t.Errorf("told again: %v", <-k.lost)
			}
		})
	}
}

func TestIdleRefused(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{"BAD": "{tag} BAD no\r\n", "OK at once": "{tag} OK done\r\n"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := serve(t, imaptest.Script{}, answers{"IDLE": {answer}}).open()
			if err := k.Idle(); err == nil || !strings.Contains(err.Error(), "mail store refused IDLE: asking at intervals") {
				t.Errorf("IDLE: %v", err)
			}
			k.server.Folder.Add(1)
			k.check(mailbox.Sync, 2)
			k.server.Drop()
			_ = receive(t, "loss", k.lost)
		})
	}
}
