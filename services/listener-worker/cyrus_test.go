// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package worker_test

import (
	"errors"
	"mime"
	"net"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"mailpush.internal/pkg/cyrustest"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	worker "mailpush.internal/services/listener-worker"
)

// shown is a socket that shows in a test's log what it has received.
type shown struct {
	net.PacketConn

	t *testing.T
}

func (s shown) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := s.PacketConn.ReadFrom(b)
	if err == nil {
		s.t.Logf("datagram of %d bytes: %q", n, b[:n])
	}
	return n, from, err
}

// A mail that a real Cyrus takes by LMTP is told by its datagram, read over IMAP and pushed.
func TestCyrusTellsOfMail(t *testing.T) {
	t.Parallel()
	if !cyrustest.Available() {
		t.Log("the Cyrus lane is make test-cyrus")
		return
	}
	for name, class := range map[string]cyrustest.Class{"MAIL": cyrustest.Mail, "EVENT": cyrustest.Event} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for login, user := range map[string]*mailv1.User{
				"anna": {ContextId: "1", UserId: "anna"}, "bob@example.org": {ContextId: "example.org", UserId: "bob"},
			} {
				t.Run(login, func(t *testing.T) {
					t.Parallel()
					expectPushes(t, class, login, user)
				})
			}
		})
	}
}

// expectPushes delivers mails to a user, and finds each in a push of its own. What else
// happens in a mailbox, of which Cyrus tells as well, is pushed by nobody.
func expectPushes(t *testing.T, class cyrustest.Class, login string, user *mailv1.User) {
	t.Helper()
	w := newWorld(t)
	server, socket := cyrustest.Start(t, class)
	if err := server.AddUser(login); err != nil {
		t.Fatal(err)
	}
	w.registry.stores = []*mailv1.MailStore{{
		Name: "main", Address: server.Addr(), TlsMode: mailv1.TlsMode_TLS_MODE_PLAIN, Backend: "mailnotify",
	}}
	w.registry.logins = map[string]*mailv1.User{login: user}
	address, _ := w.startWorker(func(c *worker.Config) {
		c.Backends = []string{"mailnotify"}
		c.MailNotify = worker.MailNotify{Sockets: []net.PacketConn{shown{socket, t}}, FullAddress: true}
	})
	id := w.joined()
	w.registry.put(user, "main", w.subscription(address, "sub_cyrus", user))
	w.plan(id, 1, 10, all()...)
	w.reported(id, 1)
	for i, subject := range []string{"one", "Grüße", "three", "after all else"} {
		w.untilState(address, user, waiting)
		if subject == "after all else" {
			useMailbox(t, server, login)
		}
		text := "From: zoe@example.org\r\nSubject: " + mime.QEncoding.Encode("utf-8", subject) + "\r\n\r\nhello\r\n"
		if err := server.Deliver(t.Context(), login, []byte(text)); err != nil {
			t.Fatal(err)
		}
		push := receive(t, "push", w.hook.got).body
		if len(push.Data.Events) != 1 || push.Data.Events[0].Subject != subject || push.Data.UserID != user.GetUserId() {
			t.Errorf("push %+v, want one of %q", push.Data, subject)
		}
		w.untilTaken(float64(i + 1)) // else the mail was found without a datagram
	}
}

// untilTaken waits until so many datagrams have told of mail in the INBOX, and no more.
func (w *world) untilTaken(want float64) {
	w.t.Helper()
	for deadline := time.Now().Add(patience); ; <-time.After(5 * time.Millisecond) { // nobody tells of a counter
		switch got := w.taken(); {
		case got == want:
			return
		case got > want, time.Now().After(deadline):
			w.t.Fatalf("%v datagrams told of mail, want %v", got, want)
		}
	}
}

// taken is the metric of datagrams that told of mail in the INBOX.
func (w *world) taken() float64 {
	w.t.Helper()
	families, err := w.metrics.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			if family.GetName() == "mailpush_worker_mailnotify_datagrams_total" && metric.GetLabel()[0].GetValue() == "taken" {
				return metric.GetCounter().GetValue()
			}
		}
	}
	w.t.Fatal("nobody counts datagrams")
	return 0
}

// useMailbox does what mail programs do with a mailbox, all but bring mail to the INBOX.
func useMailbox(t *testing.T, server *cyrustest.Server, login string) {
	t.Helper()
	client, err := imapclient.DialInsecure(server.Addr(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }() // after LOGOUT there is nothing to lose
	if err := errors.Join(
		client.Login(login, cyrustest.Password).Wait(),
		client.Create("Sent", nil).Wait(),
		appendMail(client, "Sent"),
	); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	read := &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{imap.FlagSeen, imap.FlagDeleted}}
	if err := errors.Join(
		client.Store(imap.SeqSetNum(1, 2), read, nil).Close(),
		client.Expunge().Close(),
		client.Logout().Wait(),
	); err != nil {
		t.Fatal(err)
	}
}

// appendMail puts a mail into a folder over IMAP.
func appendMail(client *imapclient.Client, folder string) error {
	const mail = "From: zoe@example.org\r\nSubject: sent\r\n\r\nhello\r\n"
	command := client.Append(folder, int64(len(mail)), nil)
	_, written := command.Write([]byte(mail))
	closed := command.Close()
	_, err := command.Wait()
	return errors.Join(written, closed, err)
}
