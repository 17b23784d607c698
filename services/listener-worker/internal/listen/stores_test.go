// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package listen_test

import (
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"mailpush.internal/pkg/dovecottest"
	"mailpush.internal/pkg/imaptest"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// mailbox is a user's mailbox on a real mail store. All tests of this file run
// on each kind of store.
//
//nolint:interfacebloat // it is the mailbox and the mail store around it
type testbox interface {
	store() *mailv1.MailStore
	login() string
	password() string
	setPassword(t *testing.T, password string)
	setMaster(t *testing.T, name, password string)
	deliver(t *testing.T, subject string) (uid uint32)
	drop(t *testing.T)
}

// mailboxes makes a fresh mailbox of each kind of store there is.
func mailboxes(t *testing.T) map[string]func(t *testing.T) testbox {
	t.Helper()
	all := map[string]func(t *testing.T) testbox{
		"memory/tls":      func(t *testing.T) testbox { return newMemoryMailbox(t, imaptest.TLS) },
		"memory/starttls": func(t *testing.T) testbox { return newMemoryMailbox(t, imaptest.StartTLS) },
		"memory/plain":    func(t *testing.T) testbox { return newMemoryMailbox(t, imaptest.Plain) },
	}
	if testing.Short() {
		t.Log("the Dovecot lane is not run with -short")
		return all
	}
	all["dovecot/tls"] = func(t *testing.T) testbox { return newDovecotMailbox(t, mailv1.TlsMode_TLS_MODE_IMPLICIT) }
	all["dovecot/starttls"] = func(t *testing.T) testbox { return newDovecotMailbox(t, mailv1.TlsMode_TLS_MODE_STARTTLS) }
	return all
}

type memoryMailbox struct {
	server *imaptest.Server
	mode   mailv1.TlsMode
}

func newMemoryMailbox(t *testing.T, protection imaptest.Protection) *memoryMailbox {
	t.Helper()
	server, err := imaptest.NewServer(imaptest.Options{Protection: protection})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Errorf("closing the server: %v", err)
		}
	})
	if err := server.AddUser("anna", "pw"); err != nil {
		t.Fatal(err)
	}
	modes := map[imaptest.Protection]mailv1.TlsMode{
		imaptest.TLS: mailv1.TlsMode_TLS_MODE_IMPLICIT, imaptest.StartTLS: mailv1.TlsMode_TLS_MODE_STARTTLS,
		imaptest.Plain: mailv1.TlsMode_TLS_MODE_PLAIN,
	}
	return &memoryMailbox{server, modes[protection]}
}

func (m *memoryMailbox) store() *mailv1.MailStore {
	return &mailv1.MailStore{
		Name: "memory", Address: m.server.Addr(), TlsMode: m.mode, CaPem: m.server.CA(), Backend: "imapidle",
		ResponseTimeout: durationpb.New(10 * time.Second),
	}
}
func (*memoryMailbox) login() string    { return "anna" }
func (*memoryMailbox) password() string { return "pw" }
func (m *memoryMailbox) setPassword(t *testing.T, password string) {
	t.Helper()
	if err := m.server.AddUser("anna", password); err != nil {
		t.Fatal(err)
	}
}

func (m *memoryMailbox) setMaster(_ *testing.T, name, password string) {
	m.server.SetMaster(name, password)
}

func (m *memoryMailbox) deliver(t *testing.T, subject string) uint32 {
	t.Helper()
	uid, err := m.server.Deliver("anna", message(subject))
	if err != nil {
		t.Fatal(err)
	}
	return uid
}
func (m *memoryMailbox) drop(*testing.T) { m.server.Drop() }

type dovecotMailbox struct {
	server    *dovecottest.Server
	mode      mailv1.TlsMode
	delivered uint32
}

func newDovecotMailbox(t *testing.T, mode mailv1.TlsMode) *dovecotMailbox {
	t.Helper()
	server := dovecottest.Start(t)
	if err := server.AddUser("anna", "pw"); err != nil {
		t.Fatal(err)
	}
	return &dovecotMailbox{server: server, mode: mode}
}

func (m *dovecotMailbox) store() *mailv1.MailStore {
	address := m.server.TLSAddr()
	if m.mode == mailv1.TlsMode_TLS_MODE_STARTTLS {
		address = m.server.Addr()
	}
	return &mailv1.MailStore{
		Name: "dovecot", Address: address, TlsMode: m.mode, ServerName: "localhost", CaPem: m.server.CA(),
		Backend: "imapidle", ResponseTimeout: durationpb.New(10 * time.Second),
	}
}
func (*dovecotMailbox) login() string    { return "anna" }
func (*dovecotMailbox) password() string { return "pw" }
func (m *dovecotMailbox) setPassword(t *testing.T, password string) {
	t.Helper()
	if err := m.server.SetPassword("anna", password); err != nil {
		t.Fatal(err)
	}
}

func (m *dovecotMailbox) setMaster(t *testing.T, name, password string) {
	t.Helper()
	if err := m.server.SetMaster(name, password); err != nil {
		t.Fatal(err)
	}
}

// deliver returns the UID Dovecot gives: a fresh folder counts from 1.
func (m *dovecotMailbox) deliver(t *testing.T, subject string) uint32 {
	t.Helper()
	if err := m.server.Deliver("anna", message(subject)); err != nil {
		t.Fatal(err)
	}
	m.delivered++
	return m.delivered
}
func (m *dovecotMailbox) drop(*testing.T) { m.server.Drop() }

func message(subject string) []byte {
	return fmt.Appendf(nil, "From: =?utf-8?q?J=C3=B6rg?= <joerg@example.org>\r\nTo: anna@example.org\r\n"+
		"Subject: %s\r\nDate: Sun, 01 Mar 2026 10:00:00 +0000\r\nMessage-ID: <%d@example.org>\r\n\r\nHello.\r\n",
		subject, time.Now().UnixNano())
}

func onEach(t *testing.T, body func(t *testing.T, m testbox)) {
	t.Helper()
	for name, open := range mailboxes(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			body(t, open(t))
		})
	}
}

func user(id string) mailbox.User { return mailbox.User{Context: "1", ID: id} }
