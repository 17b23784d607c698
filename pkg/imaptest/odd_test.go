// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package imaptest_test

import (
	"bufio"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mailpush.internal/pkg/imaptest"
)

// wire is a client that says and reads lines.
type wire struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

func dialOdd(t *testing.T, odd imaptest.Odd) (*imaptest.OddServer, *wire) {
	t.Helper()
	server, err := imaptest.NewOdd(odd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second)) // an error shows in the next read
	return server, &wire{t, conn, bufio.NewReader(conn)}
}

func (w *wire) say(text string) {
	w.t.Helper()
	if _, err := w.conn.Write([]byte(text + "\r\n")); err != nil {
		w.t.Fatal(err)
	}
}

// until reads up to and including a text.
func (w *wire) until(text string) string {
	w.t.Helper()
	var got strings.Builder
	for !strings.HasSuffix(got.String(), text) {
		b, err := w.in.ReadByte()
		if err != nil {
			w.t.Fatalf("after %q: %v", got.String(), err)
		}
		got.WriteByte(b)
	}
	return got.String()
}

func TestOddServerIsHonestByItself(t *testing.T) {
	t.Parallel()
	server, c := dialOdd(t, imaptest.Odd{})
	c.until("* OK [CAPABILITY IMAP4rev1 IDLE AUTH=PLAIN SASL-IR] ready\r\n")
	c.say("a LOGIN {4+}")
	c.say("anna pw")
	c.until("a OK done\r\n")
	c.say("b EXAMINE INBOX")
	if got := c.until("b OK done\r\n"); !strings.Contains(got, "* 3 EXISTS\r\n") || !strings.Contains(got, "[UIDNEXT 10]") {
		t.Errorf("EXAMINE: %q", got)
	}
	c.say("c IDLE")
	c.until("+ idling\r\n")
	server.Arrive(imaptest.OddMail{}, imaptest.OddMail{UID: 20, Gone: true}, imaptest.OddMail{Subject: "last"})
	c.until("* 5 EXISTS\r\n")
	server.Expunge(10)
	c.until("* 4 EXPUNGE\r\n")
	c.say("DONE")
	c.until("c OK done\r\n")
	c.say("d STATUS INBOX (UIDNEXT UIDVALIDITY UNSEEN)")
	c.until("* STATUS INBOX (UIDNEXT 22 UIDVALIDITY 1700000000 UNSEEN 4)\r\nd OK done\r\n")
	c.say("e FETCH 2,4:* (UID)")
	c.until("* 2 FETCH (UID 8)\r\n* 4 FETCH (UID 21)\r\ne OK done\r\n")
	c.say("e UID SEARCH UID 10:*")
	c.until("* SEARCH 21\r\ne OK done\r\n")
	c.say("f UID FETCH 10:* (UID RFC822.SIZE BODY.PEEK[HEADER.FIELDS (From)]<0.6>)")
	c.until("* 4 FETCH (UID 21 RFC822.SIZE 4321 BODY[HEADER.FIELDS (FROM)]<0> {6}\r\nFrom: )\r\nf OK done\r\n")
	if n := server.Commands("UID FETCH"); n != 1 {
		t.Errorf("%d UID FETCH", n)
	}
	if err := server.Await(t.Context(), "IDLE", 1); err != nil {
		t.Error(err)
	}
}

func TestOddMailsAreOddForAsLongAsTheySay(t *testing.T) {
	t.Parallel()
	server, c := dialOdd(t, imaptest.Odd{Quirks: imaptest.LastForNothing})
	c.until("ready\r\n")
	server.Add(
		imaptest.OddMail{}, imaptest.OddMail{Hidden: true, First: 2},
		imaptest.OddMail{Deny: "{tag} NO broken\r\n", First: 3}, imaptest.OddMail{Raw: "* {seq} FETCH (UID {uid})\r\n"},
	)
	const ten = "* 4 FETCH (UID 10 RFC822.SIZE 4321)\r\n"
	const eleven = "* 5 FETCH (UID 11 RFC822.SIZE 4321)\r\n"
	const twelve = "* 6 FETCH (UID 12 RFC822.SIZE 4321)\r\n"
	for _, look := range []struct{ command, want string }{
		{"UID SEARCH 10:12", "* SEARCH 10 12\r\nx OK done\r\n"},
		{"UID FETCH 11 (UID RFC822.SIZE)", "* 7 FETCH (UID 13 RFC822.SIZE 4321)\r\nx OK done\r\n"}, // as n:* brings the last one
		{"UID FETCH 11 (UID RFC822.SIZE)", eleven + "x OK done\r\n"},
		{"UID FETCH 12:13 (UID RFC822.SIZE)", "* 7 FETCH (UID 13)\r\nx NO broken\r\n"},
		{"UID FETCH 10,12 (UID RFC822.SIZE)", ten + "x NO broken\r\n"},
		{"UID FETCH 12 (UID RFC822.SIZE)", twelve + "x OK done\r\n"},
	} {
		c.say("x " + look.command)
		if diff := cmp.Diff(look.want, c.until(look.want[strings.LastIndex(look.want, "x "):])); diff != "" {
			t.Errorf("%s: %s", look.command, diff)
		}
	}
}

func TestOddAnswersAreAsScripted(t *testing.T) {
	t.Parallel()
	server, c := dialOdd(t, imaptest.Odd{
		On: map[string][]string{
			"GREETING": {"* OK {times:3:hi}\r\n"},
			"NOOP":     {"{tag} BAD what {args}\r\n", "* 1 RECENT\r\n{data}{ok}"},
			"IDLE":     {"{tag} NO not now\r\n", "+\r\n"},
			"DONE":     {""},
			"LOGOUT":   {"* BYE {caps}{close}"},
		},
		Quirks: imaptest.LowerCase | imaptest.DoubleSpaces | imaptest.BareLF,
	})
	c.until("*  ok  hihihi\n")
	c.say("a NOOP now")
	c.until("a  bad  what  now\n")
	server.Say("* X {count} {3}\r\nA b\r\n")
	c.say("a NOOP")
	c.until("*  1  recent\n*  x  3  {3}\r\nA b\na  ok  done\n")
	c.say("a IDLE")
	c.until("a  no  not  now\n")
	c.say("a IDLE")
	c.until("+\n")
	c.say("DONE")
	c.say("b LOGOUT")
	c.until("*  bye  imap4rev1  idle  auth=plain  sasl-ir")
	if _, err := c.in.ReadByte(); err == nil {
		t.Error("the connection is still open")
	}
}

func TestOddPackets(t *testing.T) {
	t.Parallel()
	for name, odd := range map[string]imaptest.Odd{
		"pieces": {Piece: 1},
		"cuts":   {CutAfter: []string{"\r", "READY", "{"}},
	} {
		const greeting = "* OK {3} READY\r\n"
		odd.On = map[string][]string{"GREETING": {greeting}}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, c := dialOdd(t, odd)
			if got := c.until("\n"); got != greeting {
				t.Errorf("greeting %q", got)
			}
		})
	}
}

func TestOddServerLosesWhatComesWithDone(t *testing.T) {
	t.Parallel()
	_, c := dialOdd(t, imaptest.Odd{Quirks: imaptest.DropsAfterDone})
	c.until("ready\r\n")
	c.say("a IDLE")
	c.until("+ idling\r\n")
	c.say("DONE\r\nb NOOP")
	c.until("a OK done\r\n")
	c.say("c CAPABILITY")
	if got := c.until("c OK done\r\n"); strings.Contains(got, "b OK") {
		t.Errorf("NOOP was heard: %q", got)
	}
}

func TestOddServerTakesOneLogin(t *testing.T) {
	t.Parallel()
	for command, ok := range map[string]bool{
		`LOGIN anna "a\\\"b"`:                    true,
		"LOGIN {4+}\r\nanna {4+}\r\na\\\"b":      true,
		`LOGIN anna "a\"b"`:                      false,
		"LOGIN":                                  false,
		"AUTHENTICATE PLAIN AGFubmEAYVwiYg==":    true,
		"AUTHENTICATE PLAIN\r\nAGFubmEAYVwiYg==": true,
		"AUTHENTICATE PLAIN AGFubmEAYg==":        false,
		"AUTHENTICATE LOGIN AGFubmEAYVwiYg==":    false,
	} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			_, c := dialOdd(t, imaptest.Odd{Login: "anna", Password: `a\"b`})
			c.until("ready\r\n")
			c.say("x " + command)
			c.until("x ")
			if got := c.until("\r\n"); strings.HasPrefix(got, "OK ") != ok {
				t.Errorf("answered %q", got)
			}
		})
	}
}
