// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mailpush.internal/cmd/internal/allinone"
	"mailpush.internal/pkg/imaptest"
	"mailpush.internal/pkg/secret"
)

const (
	patience = 60 * time.Second
	oneStore = "mail.stores={main: {address: imap.example.com:993}}"
)

// running is a mailpush run as an operator starts it.
type running struct {
	api      api
	dir      string
	said     []string // up to its first lines about what the settings mean
	receiver string   // the URL of a demo's webhook
	ended    chan error
	stop     context.CancelFunc
}

// startRun starts mailpush run with a settings file, on free ports.
func startRun(t *testing.T, config string, more ...string) *running {
	t.Helper()
	return startRunSaying(t, config, func(string) {}, more...)
}

// startRunSaying is startRun with what is told of each line that it says.
func startRunSaying(t *testing.T, config string, hear func(line string), more ...string) *running {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "mailpush.yaml")
	config += `
vault: {listen: "127.0.0.1:0", opsListen: "127.0.0.1:0"}
scheduler: {listen: "127.0.0.1:0", opsListen: "127.0.0.1:0"}
worker: {listen: "127.0.0.1:0", opsListen: "127.0.0.1:0"}
log: {level: error}
`
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	out, in := io.Pipe()
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	late := time.AfterFunc(patience, stop)
	defer late.Stop()
	r := &running{dir: filepath.Join(dir, "data"), ended: make(chan error, 1), stop: stop}
	root := command()
	root.SetArgs(append([]string{"run", "--config", file, "--data", r.dir}, more...))
	root.SetOut(in)
	go func() {
		err := root.ExecuteContext(ctx)
		_ = in.Close() // never fails
		r.ended <- err
	}()
	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "webhooks") {
		r.said = append(r.said, lines.Text())
		hear(lines.Text())
		if strings.HasPrefix(lines.Text(), "List the push users") && r.receiver != "" {
			break // a demo says no more
		}
		if url, ok := strings.CutPrefix(lines.Text(), "  demo webhook receiver"); ok {
			r.receiver = strings.TrimSpace(url)
		}
		if url, ok := strings.CutPrefix(lines.Text(), "  public API"); ok {
			r.api.url = strings.TrimSpace(url)
		}
	}
	go func() { _, _ = io.Copy(io.Discard, out) }() // ends with run
	if r.api.url == "" {
		t.Fatalf("it did not start: %v\n%s", <-r.ended, strings.Join(r.said, "\n"))
	}
	return r
}

// TestAStartWaitsForTheStopBefore starts it again, on the same data, before it has stopped.
func TestAStartWaitsForTheStopBefore(t *testing.T) {
	t.Parallel()
	const store = `
mail: {stores: {office: {address: "127.0.0.1:143", tls: none}}}
admin: {listen: "127.0.0.1:0", internalListen: "127.0.0.1:0", opsListen: "127.0.0.1:0"}`
	first := startRun(t, store)
	stopped := false
	second := startRunSaying(t, store, func(line string) {
		if strings.HasPrefix(line, fmt.Sprintf("data directory in use by PID %d: waiting", os.Getpid())) {
			stopped = true
			first.stop() // the end of its Run is what the second one waits for
		}
	}, "--data", first.dir)
	if !stopped {
		t.Errorf("it did not wait: %v", second.said)
	}
	if err := <-first.ended; err != nil {
		t.Errorf("the first: %v", err)
	}
	second.end(t)
}

func (r *running) end(t *testing.T) {
	t.Helper()
	r.stop()
	if err := <-r.ended; err != nil {
		t.Errorf("stopping: %v", err)
	}
}

// A mail store in the settings is served, and nothing of the demo is there.
func TestRunServesTheMailStoreOfItsSettings(t *testing.T) {
	t.Parallel()
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
	r := startRun(t, fmt.Sprintf(`
mail: {stores: {office: {address: %q, tls: none}}}
push: {webhook: {allowHTTP: true, allowPrivate: [127.0.0.0/8]}}
admin: {listen: "127.0.0.1:0", internalListen: "127.0.0.1:0", opsListen: "127.0.0.1:0"}`, mail.Addr()))
	said := strings.Join(r.said, "\n")
	if strings.Contains(said, "demo") || strings.Contains(said, "generated once") || !strings.Contains(said, "mail store     office at "+mail.Addr()) {
		t.Errorf("it says\n%s", said)
	}
	if left, err := filepath.Glob(filepath.Join(r.dir, "demo-*")); err != nil || len(left) > 0 {
		t.Errorf("kept for a demo: %v, %v", left, err)
	}
	password, err := os.ReadFile(filepath.Join(r.dir, allinone.AdminPasswordName))
	if err != nil {
		t.Fatal(err)
	}
	r.api.password = secret.New(strings.TrimSpace(string(password)))

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var answer subscription
	if err := r.api.call(ctx, "mailpush.push.v1.PushService/Subscribe", map[string]any{
		"contextId": "7", "userId": "8", "clientId": "test", "topics": []string{"mail:new"},
		"account": map[string]string{"mailStore": "office", "login": "bert", "password": "pw"},
		"webhook": map[string]string{"url": webhook.url},
	}, &answer); err != nil || !answer.Permanent {
		t.Fatalf("Subscribe: %+v, %v", answer, err)
	}
	if _, err := mail.Deliver("bert", demoMail("real")); err != nil {
		t.Fatal(err)
	}
	got, err := next(ctx, webhook.pushes)
	if err != nil || got.Verify(answer.WebhookSecret) != nil || !strings.Contains(string(got.Body), `"real"`) {
		t.Errorf("the push: %s, %v", got.Body, err)
	}
	r.end(t)
}

// Administrators in the settings are the only ones: none is made beside them.
func TestRunMakesNoAdministratorBesideThoseOfItsSettings(t *testing.T) {
	t.Parallel()
	hash, err := execute(t, "correct horse\n", "hash-password")
	if err != nil {
		t.Fatal(err)
	}
	r := startRun(t, fmt.Sprintf(`
mail: {stores: {office: {address: "127.0.0.1:143", tls: none}}}
admin:
  listen: 127.0.0.1:0
  internalListen: 127.0.0.1:0
  opsListen: 127.0.0.1:0
  administrators: [{name: admin, passwordHash: %q}]`, strings.TrimSpace(hash)))
	if _, err := os.Stat(filepath.Join(r.dir, allinone.AdminPasswordName)); !os.IsNotExist(err) {
		t.Errorf("a password is kept: %v", err)
	}
	r.api.password = secret.New("correct horse")
	var answer struct{}
	if err := r.api.call(t.Context(), "mailpush.admin.v1.AdminService/ListPushUsers", struct{}{}, &answer); err != nil {
		t.Error(err)
	}
	r.end(t)
}

func TestRunPassesOverNoSetting(t *testing.T) {
	t.Parallel()
	const examples = "../../deployments/config/"
	full := examples + "mailpush.yaml"
	passcrypt := filepath.Join(t.TempDir(), "passcrypt")
	if err := errors.Join(os.WriteFile(passcrypt, []byte("down the rabbit hole\n"), 0o600), os.Chmod(passcrypt, 0o622)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		args []string
		want []string // in what is said, or in the error
		bad  bool
	}{
		{"a demo", nil, []string{"demo ", "webhooks       https and http, public addresses (ports 443, 8443), 127.0.0.0/8", "is valid"}, false},
		{"a store", []string{"--set", oneStore}, []string{
			"permanent      users of every client get", "passwords      sealed and kept in SQL", "mail store     main at imap.example.com:993, TLS",
			"webhooks       https only, public addresses (ports 443, 8443)\n", "admin is made at the first start", "is valid",
		}, false},
		{"the smallest example", []string{"--config", examples + "small.yaml"}, []string{"mail store     main at imap.example.com:993", "is valid"}, false},
		{"what the file says wins", []string{"--set", oneStore, "--set", "push.credstorage.enabled=false"}, []string{"nobody gets a permanent listener"}, false},
		{"what it decides", []string{"--config", full}, []string{
			full + ":13: cluster.etcd.endpoints must not be given", "cluster.etcd.prefix must", "identity.dir must", "admin.database must", "admin.databaseFile must",
			"admin.internalAddress must", "vault.address must", "vault.database must", "vault.databaseFile must", "scheduler.address must", "worker.advertise must",
		}, true},
		{"a database", []string{"--set", "admin.database=sqlite:///elsewhere"}, []string{"--set admin.database: admin.database must not be given"}, true},
		{"administrators of a demo", []string{"--set", "admin.administrators=[{name: a, passwordHash: x}]"}, []string{"admin.administrators goes with mail.stores"}, true},
		{"a demo store beside one", []string{"--set", oneStore, "--demo-mail", "127.0.0.1:1"}, []string{"--demo-mail goes with the demo"}, true},
		{"a demo webhook beside a store", []string{"--set", oneStore, "--demo-webhook", "127.0.0.1:1"}, []string{"--demo-webhook goes with the demo"}, true},
		{"an unknown key", []string{"--set", "mail.store={}"}, []string{`did you mean "mail.stores"?`}, true},
		{"what no service would take", []string{"--set", oneStore, "--set", "cluster.leaseTTL=1s", "--set", "admin.administrators=[{name: a, passwordHash: x}]"},
			[]string{"cluster.leaseTTL: 1s", "admin.administrators[0]: passwordHash"}, true},
		{"a short passphrase", []string{"--set", oneStore, "--set", "push.credstorage.passcrypt=short"}, []string{"push.credstorage.passcrypt: the passphrase is too short"}, true},
		{"a file that others may write", []string{"--set", oneStore, "--set", "push.credstorage.passcryptFile=" + passcrypt}, []string{passcrypt + " has the mode 0622"}, true},
		{"no such file", []string{"--config", "none.yaml"}, []string{"none.yaml"}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "data")
			said, err := execute(t, "", append([]string{"run", "--check", "--data", dir}, c.args...)...)
			if (err != nil) != c.bad {
				t.Fatalf("%v\n%s", err, said)
			}
			if c.bad {
				said = err.Error()
			}
			for _, want := range c.want {
				if !strings.Contains(said, want) {
					t.Errorf("%q is missing in\n%s", want, said)
				}
			}
			if _, err := os.Stat(dir); !os.IsNotExist(err) {
				t.Errorf("--check has made the data directory: %v", err)
			}
		})
	}
}

// The unit for systemd starts what there is, on the example that goes with it.
func TestTheUnitRuns(t *testing.T) {
	t.Parallel()
	const folder = "../../deployments/systemd/"
	unit, err := os.ReadFile(folder + "mailpush.service")
	if err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(t.TempDir(), "data")
	place := strings.NewReplacer("%d/", folder, "%S/mailpush/run", data)
	var commands []string
	for line := range strings.Lines(string(unit)) {
		key, command, _ := strings.Cut(strings.TrimSpace(line), "=")
		if key == "ExecStartPre" || key == "ExecStart" {
			commands = append(commands, command)
		}
	}
	if len(commands) != 2 || commands[0] != commands[1]+" --check" {
		t.Fatalf("it checks and starts %q", commands)
	}
	args := strings.Fields(place.Replace(commands[0]))
	if args[0] != "/usr/lib/mailpush/mailpush" {
		t.Errorf("it starts %s", args[0])
	}
	if said, err := execute(t, "", args[1:]...); err != nil || !strings.Contains(said, "mail store     main at imap.example.com:993") {
		t.Errorf("%v\n%s", err, said)
	}
}
