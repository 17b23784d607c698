// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package allinone_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"

	"mailpush.internal/cmd/internal/allinone"
	"mailpush.internal/cmd/internal/settings"
	"mailpush.internal/pkg/identity"
	"mailpush.internal/pkg/imaptest"
	"mailpush.internal/pkg/pushtest"
	pushv1 "mailpush.internal/proto/gen/mailpush/push/v1"
)

// hiddenValue is of a header that the application wants, and nobody else may see.
const hiddenValue = "Bearer hidden-in-this-test"

// company is a receiver of pushes as companies have them: at an authority of its own, open
// to those who show a certificate and a token.
type company struct {
	*pushtest.Receiver
	rule settings.WebhookRule
	came chan *http.Request // without its body
}

func newCompany(t *testing.T) *company {
	t.Helper()
	certificate, err := imaptest.NewCertificate(time.Hour, "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	ca := filepath.Join(dir, "company.pem")
	if err := os.WriteFile(ca, certificate.Cert, 0o600); err != nil {
		t.Fatal(err)
	}
	partners, err := identity.OpenAuthority(dir, "partners")
	if err != nil {
		t.Fatal(err)
	}
	files, err := partners.Write("mailpush", dir)
	if err != nil {
		t.Fatal(err)
	}
	pem, err := os.ReadFile(files.CA)
	if err != nil {
		t.Fatal(err)
	}
	config, err := certificate.ServerTLS()
	if err != nil {
		t.Fatal(err)
	}
	config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
	config.ClientCAs.AppendCertsFromPEM(pem)
	c := &company{came: make(chan *http.Request, 100)}
	c.Receiver, err = pushtest.New(pushtest.Options{TLS: config, Answer: c.answer})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	c.rule = settings.WebhookRule{Origin: c.URL(), CAFile: ca, CertFile: files.Cert, KeyFile: files.Key}
	return c
}

func (c *company) answer(w http.ResponseWriter, request *http.Request, push *pushtest.Push) {
	c.came <- request
	if request.Header.Get("Authorization") != hiddenValue {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	pushtest.Accept(w, request, push)
}

// log is what the process has said so far.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// TestWebhookAtAPrivateAuthority is the whole way of a mail to an endpoint that only a
// certificate and a token open, through all services as they are.
func TestWebhookAtAPrivateAuthority(t *testing.T) {
	t.Parallel()
	w, c, said := newWorld(t), newCompany(t), new(log)
	dir := filepath.Join(t.TempDir(), "data")
	r := startLogging(t, dir, w, slog.New(slog.NewTextHandler(said, &slog.HandlerOptions{Level: slog.LevelDebug})), func(s *settings.Settings) {
		s.Push.Webhook.Rules = []settings.WebhookRule{c.rule}
	})
	subscribe := func(webhook *pushv1.Webhook) *pushv1.SubscribeResponse {
		t.Helper()
		webhook.Url = c.URL() + "/hook"
		answer, err := r.push.Subscribe(t.Context(), connect.NewRequest(&pushv1.SubscribeRequest{
			ContextId: "1", UserId: "249", ClientId: "test", Topics: []string{"mail:new"},
			Account: &pushv1.Account{MailStore: "main", Login: "anna", Password: "pw"}, Webhook: webhook,
		}))
		if err != nil {
			t.Fatal(err)
		}
		return answer.Msg
	}
	expect := func(subject, secret string) {
		t.Helper()
		w.deliver(t, subject)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		got, err := c.Next(ctx, pushtest.About(subject))
		if err != nil {
			t.Fatal(err)
		}
		if err := got.Verify(secret); err != nil {
			t.Errorf("the push for %q: %v", subject, err)
		}
		if values := got.Header.Values("Authorization"); len(values) != 1 || values[0] != hiddenValue {
			t.Errorf("the push for %q carries %d tokens", subject, len(values))
		}
	}

	first := subscribe(&pushv1.Webhook{Headers: map[string]string{"authorization": hiddenValue}})
	expect("first", first.GetWebhookSecret())
	ping := <-c.came // the first of all asks for consent, and is let in by both
	if ping.TLS.PeerCertificates[0].Subject.CommonName != "mailpush" || ping.Header.Get("Authorization") != hiddenValue {
		t.Errorf("the ping came from %s with %v", ping.TLS.PeerCertificates[0].Subject, ping.Header)
	}
	// The application starts anew, with nothing but the URL.
	if again := subscribe(&pushv1.Webhook{}); again.GetSubscriptionId() != first.GetSubscriptionId() || again.WebhookSecret != nil {
		t.Errorf("subscribed again: %v", again)
	}
	expect("second", first.GetWebhookSecret())
	listed, err := r.push.ListSubscriptions(t.Context(), connect.NewRequest(&pushv1.ListSubscriptionsRequest{ContextId: "1", UserId: "249"}))
	if err != nil || strings.Join(listed.Msg.GetSubscriptions()[0].GetWebhookHeaderNames(), " ") != "Authorization" {
		t.Errorf("listed %v, %v", listed, err)
	}
	r.end(t)
	checkHidden(t, dir, said.String())
}

// checkHidden looks for the token in what was said and written.
func checkHidden(t *testing.T, dir, said string) {
	t.Helper()
	seen := map[string]string{"the log": said}
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		seen[path] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	names := false
	for where, text := range seen {
		if strings.Contains(text, hiddenValue) || strings.Contains(text, strings.TrimPrefix(hiddenValue, "Bearer ")) {
			t.Errorf("the token is in %s", where)
		}
		names = names || strings.Contains(text, "Authorization")
	}
	if !names {
		t.Error("the name is nowhere either: the search finds nothing")
	}
}

func TestWebhookRulesThatCannotBeAreSaidBeforeTheStart(t *testing.T) {
	t.Parallel()
	s := settings.Embedded()
	s.Mail.Stores = map[string]settings.Store{"main": {Address: "h:143", TLS: settings.TLSNone}}
	s.Push.Webhook.Rules = []settings.WebhookRule{{Origin: "https://hooks.example.org", CertFile: "/nowhere", KeyFile: "/nowhere"}}
	if err := allinone.Check(s); err == nil || !strings.Contains(err.Error(), "push.webhook.rules[0].certFile: open /nowhere") {
		t.Errorf("got %v", err)
	}
}
