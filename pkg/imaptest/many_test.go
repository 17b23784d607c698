// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package imaptest_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mailpush.internal/pkg/imaptest"
)

// dialogue is a connection to Many whose client says what it likes.
type dialogue struct {
	*tls.Conn
	lines *bufio.Reader
}

func newMany(t *testing.T, o imaptest.ManyOptions) *imaptest.Many {
	t.Helper()
	server, err := imaptest.NewMany(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return server
}

func talk(t *testing.T, server *imaptest.Many) *dialogue {
	t.Helper()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(server.CA()) {
		t.Fatal("no certificate to trust")
	}
	conn, err := tls.Dial("tcp", server.Addr(), &tls.Config{ServerName: "localhost", RootCAs: roots})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	d := &dialogue{conn, bufio.NewReader(conn)}
	d.hear(t, 1)
	return d
}

// ask says something and returns the lines up to the one that begins with until.
func (d *dialogue) ask(t *testing.T, text, until string) []string {
	t.Helper()
	if _, err := fmt.Fprint(d, text); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for len(lines) == 0 || !strings.HasPrefix(lines[len(lines)-1], until) {
		lines = append(lines, d.hear(t, 1)...)
	}
	return lines
}

func (d *dialogue) hear(t *testing.T, n int) []string {
	t.Helper()
	_ = d.SetReadDeadline(time.Now().Add(30 * time.Second))
	var lines []string
	for range n {
		line, err := d.lines.ReadString('\n')
		if err != nil {
			t.Fatalf("after %q: %v", lines, err)
		}
		lines = append(lines, strings.TrimSuffix(line, "\r\n"))
	}
	return lines
}

func TestManyHasAMailboxForEachLogin(t *testing.T) {
	t.Parallel()
	server := newMany(t, imaptest.ManyOptions{})
	anna, bert := talk(t, server), talk(t, server)
	anna.ask(t, "a AUTHENTICATE PLAIN "+base64.StdEncoding.EncodeToString([]byte("\x00anna\x00pw"))+"\r\nb EXAMINE INBOX\r\nc IDLE\r\n", "+")
	bert.ask(t, "a LOGIN \"bert\" \"pw\"\r\nb EXAMINE INBOX\r\nc IDLE\r\n", "+")
	if uid := server.DeliverTo("anna"); uid != 1 {
		t.Errorf("anna's first mail is %d", uid)
	}
	server.Deliver()
	if uid := server.DeliverTo("bert"); uid != 2 {
		t.Errorf("bert's second mail is %d", uid)
	}
	if diff := cmp.Diff([]string{"* 1 EXISTS", "* 2 EXISTS"}, anna.hear(t, 2)); diff != "" {
		t.Error("anna", diff)
	}
	if diff := cmp.Diff([]string{"* 1 EXISTS", "* 2 EXISTS"}, bert.hear(t, 2)); diff != "" {
		t.Error("bert", diff)
	}
	counts := server.Counts()
	want := imaptest.ManyCounts{Handshakes: 2, Logins: 2, Idle: 2, Served: 2, Arrived: 2, Idles: 2}
	if diff := cmp.Diff(want, counts); diff != "" {
		t.Error(diff)
	}
}

func TestManyAnswersCommandsThatComeTogether(t *testing.T) {
	t.Parallel()
	server := newMany(t, imaptest.ManyOptions{})
	server.Deliver()
	d := talk(t, server)
	d.ask(t, "a LOGIN anna pw\r\nb EXAMINE INBOX\r\nc IDLE\r\n", "+")
	server.DeliverTo("anna")
	d.hear(t, 1)
	got := d.ask(t, "DONE\r\nd NOOP\r\ne STATUS INBOX (UIDNEXT)\r\nf UID SEARCH UID 2:*\r\ng FROB\r\n", "g ")
	if diff := cmp.Diff([]string{
		"c OK done", "d OK done", "* STATUS INBOX (UIDNEXT 3 UIDVALIDITY 1 UNSEEN 2)", "e OK done", "* SEARCH 2", "f OK done", "g BAD unknown command",
	}, got); diff != "" {
		t.Error(diff)
	}
	server.DeliverTo("anna") // told by the next NOOP, once
	if diff := cmp.Diff([]string{"* 3 EXISTS", "h OK done", "i OK done"}, d.ask(t, "h NOOP\r\ni NOOP\r\n", "i ")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"* BYE bye", "j OK done"}, d.ask(t, "j LOGOUT\r\n", "j ")); diff != "" {
		t.Error(diff)
	}
	if _, err := d.lines.ReadByte(); err == nil {
		t.Error("the connection goes on after LOGOUT")
	}
}

// A client of before asks for the envelope, one of today for the header.
func TestManyShowsWhatIsAskedFor(t *testing.T) {
	t.Parallel()
	server := newMany(t, imaptest.ManyOptions{})
	for range 3 {
		server.Deliver()
	}
	d := talk(t, server)
	d.ask(t, "a LOGIN anna pw\r\nb EXAMINE INBOX\r\n", "b ")
	for items, want := range map[string]string{"(UID ENVELOPE)": "ENVELOPE (", "(UID BODY.PEEK[HEADER.FIELDS (FROM SUBJECT DATE)])": "BODY[HEADER.FIELDS (FROM SUBJECT DATE)]"} {
		for set, mails := range map[string]int{"1": 1, "2:3": 2, "1:*": 3, "9:*": 1, "9": 0, "5:9": 0, "*": 1, "0": 0, "x:y": 0, "4294967296": 0} {
			text := strings.Join(d.ask(t, "c UID FETCH "+set+" "+items+"\r\n", "c OK"), "\n")
			if got := strings.Count(text, " FETCH (UID "); got != mails || mails > 0 && !strings.Contains(text, want) {
				t.Errorf("%s %s: %d mails in %q", set, items, got, text)
			}
		}
	}
}

func TestManyPresentsALongChain(t *testing.T) {
	t.Parallel()
	state := talk(t, newMany(t, imaptest.ManyOptions{Chain: true, Cold: true})).ConnectionState()
	size := 0
	for _, certificate := range state.PeerCertificates {
		size += len(certificate.Raw)
	}
	if len(state.PeerCertificates) != 3 || size < 3800 || size > 4000 {
		t.Errorf("%d certificates of %d bytes", len(state.PeerCertificates), size)
	}
}

func TestManySaysOneRecordAtOnce(t *testing.T) {
	t.Parallel()
	server := newMany(t, imaptest.ManyOptions{})
	d := talk(t, server)
	d.ask(t, "a LOGIN anna pw\r\nb EXAMINE INBOX\r\nc IDLE\r\n", "+")
	text := strings.Repeat("x", 16<<10-2) + "\r\n"
	if told := server.Say(text); told != 1 {
		t.Errorf("told %d", told)
	}
	_ = d.SetReadDeadline(time.Now().Add(30 * time.Second))
	if n, err := d.Read(make([]byte, 32<<10)); n != len(text) || err != nil {
		t.Errorf("a record of %d bytes, %v", n, err)
	}
}
