// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package imap

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/types/known/durationpb"

	"mailpush.internal/pkg/imaptest"
	"mailpush.internal/pkg/secret"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/listen"
	"mailpush.internal/services/listener-worker/internal/listen/machine"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// honest is what a small server says, one part after each line of ours; TAG
// stands for the line's tag.
const honest = "* OK [CAPABILITY IMAP4rev1 IDLE AUTH=PLAIN SASL-IR] hello\r\n\x01" +
	"TAG OK [CAPABILITY IMAP4rev1 IDLE] in\r\n\x01" +
	"* 1 EXISTS\r\n* OK [UIDVALIDITY 1] ok\r\n* OK [UIDNEXT 2] ok\r\nTAG OK [READ-ONLY] done\r\n\x01" +
	"* STATUS INBOX (UIDNEXT 2 UIDVALIDITY 1 UNSEEN 1)\r\nTAG OK done\r\n\x01" +
	"+ idling\r\n* 2 EXISTS\r\n\x01" +
	"T4 OK done\r\n\x01" +
	"* 1 FETCH (UID 1 INTERNALDATE \"01-Mar-2026 10:00:00 +0000\" RFC822.SIZE 100 " +
	"BODY[HEADER.FIELDS (FROM SUBJECT DATE)]<0> {30}\r\nFrom: a@b\r\nSubject: hello\r\n\r\n)\r\nTAG OK done\r\n\x01" +
	"* STATUS INBOX (UIDNEXT 3 UIDVALIDITY 1 UNSEEN 2)\r\nTAG OK done\r\n"

// FuzzServerBytes lets a server say anything, and checks that all of it ends as
// a result or a classified failure, with every mail in the range asked for, in whatever
// detail.
func FuzzServerBytes(f *testing.F) {
	f.Add([]byte(honest))
	f.Add([]byte(strings.ReplaceAll(honest, "UIDNEXT", "UIDNEXT 99999999999")))
	f.Add([]byte("* BYE [UNAVAILABLE]\r\n"))
	f.Add([]byte("220 smtp\r\n"))
	f.Add([]byte(strings.ReplaceAll(honest, "IDLE]", "ID(E]"))) // once made the client's reader spin
	f.Add([]byte(honest[:200] + "((((((((((((((((((" + honest[200:]))
	f.Fuzz(func(t *testing.T, said []byte) {
		server, err := imaptest.NewScript(imaptest.Script{Accept: func(p *imaptest.Peer) { recite(p, said) }})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = server.Close() }()
		store := &mailv1.MailStore{
			Name: "fuzz", Address: server.Addr(), TlsMode: mailv1.TlsMode_TLS_MODE_PLAIN,
			ResponseTimeout: durationpb.New(20 * time.Millisecond),
		}
		login := func(context.Context) (mailbox.Login, error) {
			return mailbox.Login{Username: "anna", Password: secret.New("pw"), Version: 1}, nil
		}
		c, opening, err := New(Config{}).Open(t.Context(), mailbox.Listening{Store: store}, login, listen.Nobody{})
		if err != nil {
			mustBeFailure(t, err)
			return
		}
		defer c.Close()
		if opening.End.UIDNext == 0 || opening.End.UIDValidity == 0 {
			t.Errorf("opened %+v", opening.End)
		}
		converse(t, c, mailbox.Detail(len(said)%2))
	})
}

func converse(t *testing.T, c listen.Reader, detail mailbox.Detail) {
	t.Helper()
	if err := idle(t, c); err != nil && !errors.Is(err, listen.ErrIdleRefused) {
		mustBeFailure(t, err)
		return
	}
	got, err := c.Fetch(mailbox.Range{From: 1, Upto: 5, Detail: detail})
	if err != nil {
		mustBeFailure(t, err)
		return
	}
	for _, mail := range got.Mails {
		if mail.UID < 1 || mail.UID > got.Upto {
			t.Errorf("mail %d of 1:%d", mail.UID, got.Upto)
		}
	}
	if _, err = c.Check(mailbox.Sync); err != nil {
		mustBeFailure(t, err)
	}
}

func recite(p *imaptest.Peer, said []byte) {
	parts := bytes.Split(said, []byte{1})
	p.Send(string(parts[0]))
	for _, part := range parts[1:] {
		tag, _, _, ok := p.Command()
		if !ok {
			return
		}
		p.Send(strings.ReplaceAll(string(part), "TAG", tag))
	}
}

func mustBeFailure(t *testing.T, err error) {
	t.Helper()
	var failure *mailbox.Failure
	if !errors.As(err, &failure) || failure.Class == 0 || failure.Reason == "" || strings.ContainsAny(failure.Reason, "\r\n\x00") {
		t.Errorf("not a classified failure: %#v", err)
	}
}

func TestHonestConversation(t *testing.T) {
	t.Parallel()
	server, err := imaptest.NewScript(imaptest.Script{Accept: func(p *imaptest.Peer) { recite(p, []byte(honest)); p.Hang() }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	store := &mailv1.MailStore{Address: server.Addr(), TlsMode: mailv1.TlsMode_TLS_MODE_PLAIN}
	login := func(context.Context) (mailbox.Login, error) { return mailbox.Login{Version: 4}, nil }
	heard := make(chan time.Time, 10)
	c, opening, err := New(Config{}).Open(t.Context(), mailbox.Listening{Store: store}, login, hearing(heard))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if want := (listen.Opening{End: mailbox.End{Folder: "INBOX", UIDValidity: 1, UIDNext: 2, Unseen: 1}, Waits: machine.ByIdle, Version: 4}); opening != want {
		t.Errorf("opening = %+v", opening)
	}
	if err := idle(t, c); err != nil {
		t.Fatal(err)
	}
	<-heard
	got, err := c.Fetch(mailbox.Range{From: 1, Upto: 1})
	if err != nil || got.Upto != 1 || got.Gap != mailbox.NoGap || len(got.Mails) != 1 ||
		got.Mails[0].Subject != "hello" || got.Mails[0].From != "a@b" {
		t.Errorf("Fetch = %+v, %v", got, err)
	}
}

type hearing chan time.Time

func (h hearing) Noticed(at time.Time) { h <- at }
func (hearing) Lost(*mailbox.Failure)  {}

func idle(t *testing.T, r listen.Reader) error {
	t.Helper()
	idler, ok := r.(listen.Idler)
	if !ok {
		t.Fatalf("%T cannot stand in IDLE", r)
	}
	return idler.Idle()
}
