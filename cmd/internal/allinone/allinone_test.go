// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package allinone_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"mailpush.internal/cmd/internal/allinone"
	"mailpush.internal/cmd/internal/settings"
	"mailpush.internal/pkg/imaptest"
	"mailpush.internal/pkg/pushtest"
	adminv1 "mailpush.internal/proto/gen/mailpush/admin/v1"
	"mailpush.internal/proto/gen/mailpush/admin/v1/adminv1connect"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	pushv1 "mailpush.internal/proto/gen/mailpush/push/v1"
	"mailpush.internal/proto/gen/mailpush/push/v1/pushv1connect"
)

const patience = 2 * time.Minute

// world is what lies outside of mailpush: a mail store and a webhook.
type world struct {
	mail    *imaptest.Server
	webhook *pushtest.Receiver
}

func newWorld(t *testing.T) *world {
	t.Helper()
	mail, err := imaptest.NewServer(imaptest.Options{Protection: imaptest.Plain})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = mail.Close() })
	if err := mail.AddUser("anna", "pw"); err != nil {
		t.Fatal(err)
	}
	return &world{mail: mail, webhook: pushtest.Start(t)}
}

func (w *world) deliver(t *testing.T, subject string) {
	t.Helper()
	if _, err := w.mail.Deliver("anna", []byte("From: zoe@example.org\r\nSubject: "+subject+"\r\n\r\nHi\r\n")); err != nil {
		t.Fatal(err)
	}
}

// expect waits for the next push that is no ping.
func (w *world) expect(t *testing.T, subject string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	got, err := w.webhook.Next(ctx, pushtest.Not(pushtest.OfType(pushtest.TypePing)))
	if err != nil {
		t.Fatalf("no push for %q: %v", subject, err)
	}
	if !pushtest.About(subject)(got) || got.Data.Count != 1 {
		t.Errorf("the push for %q is %s", subject, got.Body)
	}
}

// running is one life of a mailpush.
type running struct {
	node  *allinone.Node
	stop  context.CancelFunc
	ended chan error
	push  pushv1connect.PushServiceClient
	admin adminv1connect.AdminServiceClient
}

func start(t *testing.T, dir string, w *world, set func(*settings.Settings)) *running {
	t.Helper()
	return startLogging(t, dir, w, slog.New(slog.DiscardHandler), set)
}

func startLogging(t *testing.T, dir string, w *world, log *slog.Logger, set func(*settings.Settings)) *running {
	t.Helper()
	s := settings.Embedded()
	s.Mail.Stores = map[string]settings.Store{"main": {Address: w.mail.Addr(), TLS: settings.TLSNone}}
	s.AnyPort()
	set(s)
	ctx, stop := context.WithCancel(t.Context())
	node, err := allinone.New(ctx, allinone.Options{Dir: dir, Settings: s, Log: log, Version: "test"})
	if err != nil {
		stop()
		t.Fatal(err)
	}
	r := &running{node: node, stop: stop, ended: make(chan error, 1)}
	go func() { r.ended <- node.Run(ctx) }()
	t.Cleanup(stop)
	client := &http.Client{Transport: basic("Basic " + base64.StdEncoding.EncodeToString([]byte("admin:"+node.AdminPassword.Reveal())))}
	r.push = pushv1connect.NewPushServiceClient(client, "http://"+s.Admin.Listen)
	r.admin = adminv1connect.NewAdminServiceClient(client, "http://"+s.Admin.Listen)
	await(t, "readiness", node.Ready)
	return r
}

type basic string

func (b basic) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", string(b))
	return http.DefaultTransport.RoundTrip(r)
}

func (r *running) end(t *testing.T) {
	t.Helper()
	r.stop()
	if err := <-r.ended; err != nil {
		t.Errorf("Run: %v", err)
	}
}

func (r *running) subscribe(t *testing.T, w *world, password string) *pushv1.SubscribeResponse {
	t.Helper()
	answer, err := r.push.Subscribe(t.Context(), connect.NewRequest(&pushv1.SubscribeRequest{
		ContextId: "1", UserId: "249", ClientId: "test", Topics: []string{"mail:new"},
		Account: &pushv1.Account{MailStore: "main", Login: "anna", Password: password},
		Webhook: &pushv1.Webhook{Url: w.webhook.URL()},
	}))
	if err != nil {
		t.Fatal(err)
	}
	return answer.Msg
}

// expectState waits until the list shows the one user in a state.
func (r *running) expectState(t *testing.T, want mailv1.ListenerState) *adminv1.PushUser {
	t.Helper()
	var user *adminv1.PushUser
	await(t, want.String(), func(ctx context.Context) error {
		answer, err := r.admin.ListPushUsers(ctx, connect.NewRequest(&adminv1.ListPushUsersRequest{}))
		if err != nil {
			return err
		}
		if users := answer.Msg.GetPushUsers(); len(users) != 1 || users[0].GetState() != want {
			return fmt.Errorf("the list shows %v", users)
		}
		user = answer.Msg.GetPushUsers()[0]
		return nil
	})
	return user
}

func await(t *testing.T, what string, check func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check(ctx)
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waiting for %s: %v", what, err)
		}
	}
}

func TestRestartKeepsEverything(t *testing.T) {
	t.Parallel()
	w, dir := newWorld(t), filepath.Join(t.TempDir(), "data")
	first := start(t, dir, w, func(*settings.Settings) {})
	if !first.node.AdminPasswordFresh {
		t.Error("the first start made no password")
	}
	if answer := first.subscribe(t, w, "pw"); !answer.GetPermanent() {
		t.Fatalf("Subscribe: %v", answer)
	}
	w.deliver(t, "before")
	w.expect(t, "before")
	password := first.node.AdminPassword
	first.end(t)

	w.deliver(t, "while away")
	second := start(t, dir, w, func(*settings.Settings) {})
	if second.node.AdminPasswordFresh || second.node.AdminPassword.Reveal() != password.Reveal() {
		t.Error("the administrator's password has changed")
	}
	w.expect(t, "while away")
	if user := second.expectState(t, mailv1.ListenerState_LISTENER_STATE_IDLE); !user.GetPermanent() || user.GetWorker() == "" {
		t.Errorf("the list shows %v", user)
	}
	second.end(t)
}

// A start in order has no error to tell of, neither the first one nor the one after.
func TestAStartSaysNothingBad(t *testing.T) {
	t.Parallel()
	w, dir := newWorld(t), filepath.Join(t.TempDir(), "data")
	for _, life := range []string{"first", "second"} {
		said := new(log)
		r := startLogging(t, dir, w, slog.New(slog.NewTextHandler(said, nil)), func(*settings.Settings) {})
		if life == "first" {
			r.subscribe(t, w, "pw")
		}
		r.expectState(t, mailv1.ListenerState_LISTENER_STATE_IDLE)
		r.end(t)
		for line := range strings.Lines(said.String()) {
			// On a busy machine there may be warnings, of what takes its time.
			if strings.Contains(line, "level=ERROR") {
				t.Errorf("the %s says %s", life, line)
			}
		}
	}
}

// A refused password suspends the listener, visibly and with a reason, and without
// any further login; a new password resumes it.
func TestWrongPasswordIsSuspendedUntilANewOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := start(t, filepath.Join(t.TempDir(), "data"), w, func(*settings.Settings) {})
	answer := r.subscribe(t, w, "wrong")
	if answer.GetPermanent() || answer.GetReason() == "" {
		t.Fatalf("Subscribe with a wrong password: %v", answer)
	}
	if user := r.expectState(t, mailv1.ListenerState_LISTENER_STATE_SUSPENDED); user.GetLastError() == "" {
		t.Errorf("suspended without a reason: %v", user)
	}
	if got := w.mail.Logins(); got != 0 {
		t.Errorf("%d logins", got)
	}
	if answer := r.subscribe(t, w, "pw"); !answer.GetPermanent() {
		t.Fatalf("Subscribe with the right password: %v", answer)
	}
	r.expectState(t, mailv1.ListenerState_LISTENER_STATE_IDLE)
	w.deliver(t, "after")
	w.expect(t, "after")

	// The password changes behind our back: the next login is refused.
	if err := w.mail.AddUser("anna", "changed"); err != nil {
		t.Fatal(err)
	}
	w.mail.Drop()
	r.expectState(t, mailv1.ListenerState_LISTENER_STATE_SUSPENDED)
	if answer := r.subscribe(t, w, "changed"); !answer.GetPermanent() {
		t.Fatalf("Subscribe with the changed password: %v", answer)
	}
	w.deliver(t, "changed")
	w.expect(t, "changed")
	r.end(t)
}

func TestWrongPassphraseRefusesToStart(t *testing.T) {
	t.Parallel()
	w, dir := newWorld(t), filepath.Join(t.TempDir(), "data")
	first := start(t, dir, w, func(*settings.Settings) {})
	first.subscribe(t, w, "pw")
	first.end(t)

	s := settings.Embedded()
	s.Mail.Stores = map[string]settings.Store{"main": {Address: w.mail.Addr(), TLS: settings.TLSNone}}
	if err := s.Push.CredStorage.Passcrypt.UnmarshalText([]byte("wrong-horse-battery")); err != nil {
		t.Fatal(err)
	}
	s.AnyPort()
	node, err := allinone.New(t.Context(), allinone.Options{Dir: dir, Settings: s, Log: slog.New(slog.DiscardHandler)})
	if err == nil {
		err = node.Run(t.Context())
	}
	if err == nil || !strings.Contains(err.Error(), "passphrase") || strings.Contains(err.Error(), "wrong-horse-battery") {
		t.Errorf("got %v, want a refusal that speaks of the passphrase", err)
	}
}

// Two installations that differ in no setting share an etcd. The later one stays out,
// and the users of the first do not notice.
func TestSecondInstallationOnOneEtcdStaysOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := start(t, filepath.Join(t.TempDir(), "first"), w, func(*settings.Settings) {})
	first.subscribe(t, w, "pw")

	s, log := settings.Embedded(), make(lines, 1000)
	s.Mail.Stores = map[string]settings.Store{"main": {Address: w.mail.Addr(), TLS: settings.TLSNone}}
	s.AnyPort()
	ctx, stop := context.WithCancel(t.Context())
	second, err := allinone.New(ctx, allinone.Options{
		Dir: filepath.Join(t.TempDir(), "second"), Settings: s, Log: slog.New(slog.NewTextHandler(log, nil)),
		Etcd: first.node.Settings().Cluster.Etcd.Endpoints,
	})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- second.Run(ctx) }()
	missing := map[string]bool{"admin-api": true, "listener-worker": true, "scheduler": true}
	for late := time.After(patience); len(missing) > 0; {
		select {
		case line := <-log:
			for service := range missing {
				if strings.Contains(line, "level=ERROR") && strings.Contains(line, "service="+service) &&
					strings.Contains(line, "key /mailpush/cfg: the cluster there is of installation ") {
					delete(missing, service)
				}
			}
		case <-late:
			t.Fatalf("%v have not refused to take part", missing)
		}
	}
	if err := second.Ready(t.Context()); err == nil {
		t.Error("it is ready")
	}
	workers, err := first.admin.ListWorkers(t.Context(), connect.NewRequest(&adminv1.ListWorkersRequest{}))
	if err != nil || len(workers.Msg.GetWorkers()) != 1 {
		t.Errorf("the first has other workers than its own: %v, %v", workers, err)
	}
	w.deliver(t, "all the same")
	w.expect(t, "all the same")
	stop()
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
	first.end(t)
}

// lines is a log that is read line by line.
type lines chan string

func (l lines) Write(line []byte) (int, error) {
	select {
	case l <- string(line):
	default: // nobody waits for it any more
	}
	return len(line), nil
}
