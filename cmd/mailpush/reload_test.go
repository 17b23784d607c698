// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"mailpush.internal/cmd/internal/allinone"
	"mailpush.internal/pkg/imaptest"
	"mailpush.internal/pkg/secret"
)

// A mailpush run takes a change of its file and of a secret for all of its services, what
// it has decided by itself stays, and SIGHUP does not end it.
func TestRunReadsItsSettingsAgain(t *testing.T) { //nolint:paralleltest // it gets a signal
	mail, err := imaptest.NewServer(imaptest.Options{Protection: imaptest.Plain})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = mail.Close() })
	if err := mail.AddUser("bert", "pw"); err != nil {
		t.Fatal(err)
	}
	r := startRun(t, fmt.Sprintf(`
mail: {stores: {office: {address: %q, tls: none}}}
push: {webhook: {allowHTTP: true, allowPrivate: [127.0.0.0/8]}, allowPermanentPush: true}
admin: {listen: "127.0.0.1:0", internalListen: "127.0.0.1:0", opsListen: "127.0.0.1:0"}`, mail.Addr()))
	password, err := os.ReadFile(filepath.Join(r.dir, allinone.AdminPasswordName))
	if err != nil {
		t.Fatal(err)
	}
	r.api.password = secret.New(strings.TrimSpace(string(password)))
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	subscribed := func() (subscription, error) {
		var answer subscription
		err := r.api.call(ctx, "mailpush.push.v1.PushService/Subscribe", map[string]any{
			"contextId": "7", "userId": "8", "clientId": "test", "topics": []string{"mail:new"},
			"account": map[string]string{"mailStore": "office", "login": "bert", "password": "pw"},
			"webhook": map[string]string{"url": "http://127.0.0.1:9/"},
		}, &answer)
		return answer, err
	}
	if answer, err := subscribed(); err != nil || !answer.Permanent {
		t.Fatalf("Subscribe: %+v, %v", answer, err)
	}
	await(ctx, t, "a listener", func() error { return connected(mail, 1) })

	file := filepath.Join(filepath.Dir(r.dir), "mailpush.yaml")
	change := func(before, after string) {
		t.Helper()
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(strings.Replace(string(text), before, after, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	change("allowPermanentPush: true", "allowPermanentPush: false")
	await(ctx, t, "no listener", func() error { return connected(mail, 0) })
	if answer, err := subscribed(); err != nil || answer.Permanent {
		t.Errorf("Subscribe while it is off: %+v, %v", answer, err)
	}
	for _, text := range []string{"allowPermanentPush: maybe", "allowPermanentPush: true"} {
		change("allowPermanentPush: false", text)
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		change("allowPermanentPush: maybe", "allowPermanentPush: false")
	}
	await(ctx, t, "a listener again", func() error { return connected(mail, 1) })
	r.end(t)
}

func connected(mail *imaptest.Server, want int) error {
	if have := mail.Connections(); have != want {
		return fmt.Errorf("%d connections, want %d", have, want)
	}
	return nil
}

func await(ctx context.Context, t *testing.T, what string, check func() error) {
	t.Helper()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatal(errors.Join(fmt.Errorf("waiting for %s", what), err))
		case <-time.After(10 * time.Millisecond):
		}
	}
}
