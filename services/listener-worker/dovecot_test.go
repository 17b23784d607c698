// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package worker_test

import (
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"mailpush.internal/pkg/dovecottest"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
)

// dovecot is a world whose one mailbox is on a real mail store.
type dovecot struct {
	*world
	server *dovecottest.Server
	user   *mailv1.User
}

// newDovecot makes a world with a real mail store, or returns nil where there is to be
// none.
func newDovecot(t *testing.T) *dovecot {
	t.Helper()
	return newDovecotWith(t, dovecottest.Options{})
}

func newDovecotWith(t *testing.T, options dovecottest.Options) *dovecot {
	t.Helper()
	if testing.Short() {
		t.Log("the Dovecot lane is not run with -short")
		return nil
	}
	d := &dovecot{world: newWorld(t), server: dovecottest.StartWith(t, options), user: &mailv1.User{ContextId: "1", UserId: "249"}}
	if err := d.server.AddUser(d.user.GetUserId(), password); err != nil {
		t.Fatal(err)
	}
	d.registry.stores = []*mailv1.MailStore{{
		Name: "main", Address: d.server.TLSAddr(), TlsMode: mailv1.TlsMode_TLS_MODE_IMPLICIT, ServerName: "localhost",
		CaPem: d.server.CA(), Backend: "imapidle",
	}}
	return d
}

// deliver delivers mails one after the other.
func (d *dovecot) deliver(subjects ...string) {
	d.t.Helper()
	for _, subject := range subjects {
		text := "From: Anna <anna@example.org>\r\nSubject: " + subject + "\r\n\r\nhello\r\n"
		if err := d.server.Deliver(d.user.GetUserId(), []byte(text)); err != nil {
			d.t.Fatal(err)
		}
	}
}

// session is another program of the user's, with the INBOX open.
func (d *dovecot) session() *imapclient.Client {
	d.t.Helper()
	client, err := imapclient.DialInsecure(d.server.Addr(), nil)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { _ = client.Close() })
	if err := client.Login(d.user.GetUserId(), password).Wait(); err != nil {
		d.t.Fatal(err)
	}
	if _, err := client.Select("INBOX", nil).Wait(); err != nil {
		d.t.Fatal(err)
	}
	return client
}

// expunge removes mails for good.
func (d *dovecot) expunge(uids ...imap.UID) {
	d.t.Helper()
	client := d.session()
	deleted := &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{imap.FlagDeleted}}
	if err := client.Store(imap.UIDSetNum(uids...), deleted, nil).Close(); err != nil {
		d.t.Fatal(err)
	}
	if err := client.Expunge().Close(); err != nil {
		d.t.Fatal(err)
	}
	if err := client.Logout().Wait(); err != nil {
		d.t.Fatal(err)
	}
}

// renameInbox does what RENAME of the INBOX means (RFC 9051 section 6.3.6): its mails
// are in another folder then, and it is empty. Dovecot refuses it in one piece.
func (d *dovecot) renameInbox(to string) {
	d.t.Helper()
	client := d.session()
	if err := client.Rename("INBOX", to, nil).Wait(); err == nil || !strings.Contains(err.Error(), "isn't supported") {
		d.t.Fatalf("Dovecot has changed its mind about RENAME of the INBOX: %v", err)
	}
	if err := client.Create(to, nil).Wait(); err != nil {
		d.t.Fatal(err)
	}
	var every imap.SeqSet
	every.AddRange(1, 0)
	if _, err := client.Move(every, to).Wait(); err != nil {
		d.t.Fatal(err)
	}
	if err := client.Logout().Wait(); err != nil {
		d.t.Fatal(err)
	}
}
