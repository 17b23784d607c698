// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"mailpush.internal/pkg/imaptest"
	"mailpush.internal/pkg/secret"
	"mailpush.internal/pkg/sqltest"
)

// documented are the blocks of commands of a page below a heading, one after the other.
// What is for systemd the test does itself.
func documented(t *testing.T, heading string) []string {
	t.Helper()
	page, err := os.ReadFile("../../docs/backup.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(page), "\n## "+heading+"\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var blocks []string
	for i, part := range strings.Split(section, "```\n") {
		if i%2 == 0 {
			continue
		}
		var commands strings.Builder
		for line := range strings.Lines(part) {
			if !strings.HasPrefix(line, "systemctl ") {
				commands.WriteString(line)
			}
		}
		blocks = append(blocks, commands.String())
	}
	if !found || len(blocks) == 0 {
		t.Fatalf("nothing is documented below %q", heading)
	}
	return blocks
}

// do runs commands as somebody would who has copied them.
func do(t *testing.T, commands string, environ ...string) {
	t.Helper()
	shell := exec.CommandContext(t.Context(), "sh", "-e", "-u", "-c", commands)
	shell.Env = append(os.Environ(), environ...)
	if out, err := shell.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s\n%s", err, commands, out)
	}
}

// The data directory of mailpush run is copied and restored as documented, with and without
// a stop. What came after the copy is announced again, what is subscribed stays so.
func TestBackupAndRestoreAsDocumented(t *testing.T) {
	t.Parallel()
	blocks := documented(t, "mailpush run")
	stopped, running, restore := blocks[0], blocks[1], blocks[2]
	for name, backup := range map[string]string{"stopped": stopped, "running": running} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newBackupWorld(t)
			r := startRun(t, w.config)
			w.subscribe(t, r)
			w.expect(t, "before")
			environ := []string{"DATA=" + r.dir, "BACKUP=" + filepath.Join(t.TempDir(), "backup")}
			if name == "stopped" {
				r.end(t)
			}
			do(t, backup, environ...)
			if name == "stopped" {
				r = startRun(t, w.config, "--data", r.dir)
			}
			first := w.expect(t, "after")
			r.end(t)

			do(t, restore, environ...)
			r = startRun(t, w.config, "--data", strings.TrimPrefix(environ[0], "DATA="))
			if again := w.await(t, "after"); again != first {
				t.Errorf("what came after the backup is announced again as %q, it was %q", again, first)
			}
			w.expect(t, "at last")
			r.end(t)
		})
	}
}

// backupWorld is a mail store with one user, and a webhook.
type backupWorld struct {
	mail    *imaptest.Server
	webhook *receiver
	config  string
}

func newBackupWorld(t *testing.T) *backupWorld {
	t.Helper()
	mail, err := imaptest.NewServer(imaptest.Options{Protection: imaptest.Plain})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = mail.Close() })
	if err := mail.AddUser("bert", "pw"); err != nil {
		t.Fatal(err)
	}
	webhook, err := newReceiver("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(webhook.Close)
	return &backupWorld{mail, webhook, fmt.Sprintf(`
mail: {stores: {office: {address: %q, tls: none}}}
push: {webhook: {allowHTTP: true, allowPrivate: [127.0.0.0/8]}}
admin: {listen: "127.0.0.1:0", internalListen: "127.0.0.1:0", opsListen: "127.0.0.1:0"}`, mail.Addr())}
}

func (w *backupWorld) subscribe(t *testing.T, r *running) {
	t.Helper()
	password, err := os.ReadFile(filepath.Join(r.dir, "admin-password"))
	if err != nil {
		t.Fatal(err)
	}
	r.api.password = secret.New(strings.TrimSpace(string(password)))
	var answer subscription
	if err := r.api.call(t.Context(), "mailpush.push.v1.PushService/Subscribe", map[string]any{
		"contextId": "7", "userId": "8", "clientId": "test", "topics": []string{"mail:new"},
		"account": map[string]string{"mailStore": "office", "login": "bert", "password": "pw"},
		"webhook": map[string]string{"url": w.webhook.url},
	}, &answer); err != nil || !answer.Permanent {
		t.Fatalf("Subscribe: %+v, %v", answer, err)
	}
}

// expect delivers a mail and waits for its push, of which it returns the event's id.
func (w *backupWorld) expect(t *testing.T, subject string) string {
	t.Helper()
	if _, err := w.mail.Deliver("bert", demoMail(subject)); err != nil {
		t.Fatal(err)
	}
	return w.await(t, subject)
}

// await waits for the event about a mail, and returns its id. Others may come with it or
// before: a backup of what runs has cursors of a moment ago. It is patient, for without its
// etcd a registry takes half a minute until its listeners are back.
func (w *backupWorld) await(t *testing.T, subject string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*patience)
	defer cancel()
	for {
		got, err := next(ctx, w.webhook.pushes)
		if err != nil {
			t.Fatal(err)
		}
		for _, event := range got.Data.Events {
			if event.Subject == subject {
				return event.ID
			}
		}
	}
}

// The databases of services of their own are dumped and restored as documented, into a
// server that has what came since.
func TestBackupOfPostgreSQLAsDocumented(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Log("-short: without a server")
		return
	}
	server, err := sqltest.NewPostgres("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	blocks, dir := documented(t, "Services of their own"), t.TempDir()
	environ := []string{"BACKUP=" + dir, "PASSCRYPT=" + filepath.Join(dir, "passphrase")}
	for _, name := range []string{"REGISTRY_DATABASE", "VAULT_DATABASE"} {
		dsn, _, err := server.NewDatabase(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		environ = append(environ, name+"="+dsn.Reveal())
	}
	both := func(sql string) {
		t.Helper()
		for _, name := range []string{"REGISTRY_DATABASE", "VAULT_DATABASE"} {
			do(t, `psql --quiet --set=ON_ERROR_STOP=1 --command="`+sql+`" "$`+name+`"`, environ...)
		}
	}
	both("CREATE TABLE vault_keys (id int PRIMARY KEY); INSERT INTO vault_keys VALUES (1)")
	both("CREATE TABLE kept (day text PRIMARY KEY); INSERT INTO kept VALUES ('yesterday')")
	do(t, `echo yesterday > "$PASSCRYPT"`, environ...)
	do(t, blocks[0], environ...)
	both("INSERT INTO kept VALUES ('today'); DELETE FROM vault_keys")
	do(t, `echo today > "$PASSCRYPT"`, environ...)

	do(t, documented(t, "An emptied key table")[0], environ...)
	do(t, `test "$(psql --tuples-only --no-align --command="SELECT id FROM vault_keys" "$VAULT_DATABASE")" = 1`, environ...)

	do(t, blocks[1], environ...)
	for _, name := range []string{"REGISTRY_DATABASE", "VAULT_DATABASE"} {
		do(t, `test "$(psql --tuples-only --no-align --command="SELECT day FROM kept" "$`+name+`")" = yesterday`, environ...)
	}
	do(t, `test "$(cat "$PASSCRYPT")" = yesterday`, environ...)
}
