// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package dovecot_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"mailpush.internal/pkg/dovecottest"
	"mailpush.internal/pkg/fault"
	"mailpush.internal/pkg/secret"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/dovecot"
	"mailpush.internal/services/listener-worker/internal/imap"
	"mailpush.internal/services/listener-worker/internal/listen"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

const password = "pw of the mailbox"

// world is a Dovecot, and a source that reads it.
type world struct {
	t      *testing.T
	server *dovecottest.Server
	source *dovecot.Source
	store  *mailv1.MailStore

	mu    sync.Mutex
	doubt bool // the right to act is in doubt
	asked int  // logins
	users int
}

func newWorld(t *testing.T, options dovecottest.Options, change func(*world, *dovecot.Config)) *world {
	t.Helper()
	if testing.Short() {
		t.Skip("needs Dovecot: run make test") //nolint:forbidigo // only with -short
	}
	w := &world{t: t, server: dovecottest.StartWith(t, options)}
	w.store = &mailv1.MailStore{
		Name: "main", Address: w.server.Addr(), TlsMode: mailv1.TlsMode_TLS_MODE_PLAIN, Backend: dovecot.Name,
		ResponseTimeout: durationpb.New(10 * time.Second),
		Doveadm:         &mailv1.Doveadm{Url: w.server.DoveadmURL()},
	}
	cfg := dovecot.Config{
		IMAP: imap.New(imap.Config{}), Key: func(store string) (secret.String, bool) { return w.server.DoveadmKey(), store == "main" },
		Current: func() bool {
			w.mu.Lock()
			defer w.mu.Unlock()
			return !w.doubt
		},
	}
	if change != nil {
		change(w, &cfg)
	}
	w.source = dovecot.New(cfg)
	t.Cleanup(w.source.Close)
	return w
}

// user makes a mailbox that is opened by doveadm alone.
func (w *world) user() mailbox.Listening {
	w.t.Helper()
	w.mu.Lock()
	w.users++
	name := fmt.Sprintf("user%d", w.users)
	w.mu.Unlock()
	if err := w.server.AddUser(name, password); err != nil {
		w.t.Fatal(err)
	}
	return mailbox.Listening{User: mailbox.User{Context: "1", ID: name}, Store: w.store, Permanent: true, Login: name, CredentialVersion: 1}
}

// login is what the vault has for a mailbox.
func (w *world) login(of mailbox.Listening, known bool) listen.LoginFunc {
	return func(context.Context) (mailbox.Login, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.asked++
		if !known {
			return mailbox.Login{}, fault.New(fault.NotFound, "none")
		}
		return mailbox.Login{Username: of.User.ID, Password: secret.New(password), Version: 1}, nil
	}
}

func (w *world) open(of mailbox.Listening) (listen.Reader, listen.Opening) {
	w.t.Helper()
	reader, opening, err := w.source.Open(w.t.Context(), of, w.login(of, of.Login == ""), nil)
	if err != nil {
		w.t.Fatalf("opening the mailbox of %s: %v\n%s", of.User.ID, err, w.server.Log())
	}
	w.t.Cleanup(reader.Close)
	return reader, opening
}

func (w *world) deliver(of mailbox.Listening, header string) {
	w.t.Helper()
	if err := w.server.Deliver(of.User.ID, []byte(header+"\r\nsome text\r\n")); err != nil {
		w.t.Fatal(err)
	}
}

// withLogin is a mailbox that is opened with the login of its user.
func withLogin(of mailbox.Listening) mailbox.Listening {
	of.Login = ""
	return of
}
