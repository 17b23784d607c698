// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package program_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mailpush.internal/cmd/internal/program"
	"mailpush.internal/cmd/internal/settings"
	"mailpush.internal/cmd/internal/wire"
	"mailpush.internal/cmd/internal/wire/adminwire"
	"mailpush.internal/cmd/internal/wire/vaultwire"
	"mailpush.internal/cmd/internal/wire/workerwire"
	"mailpush.internal/pkg/identity"
	"mailpush.internal/pkg/imaptest"
	"mailpush.internal/pkg/service"
)

// unbuilt is for runs that must end before anything is built.
func unbuilt(context.Context, *settings.Settings, service.Runtime, *wire.Addresses) (wire.Built, error) {
	return wire.Built{}, errors.New("nothing must be built here")
}

func TestFlags(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	typo := filepath.Join(dir, "typo.yaml")
	if err := os.WriteFile(typo, []byte("cluster:\n  name: x\n  leasTTL: 5s\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const example = "../../../deployments/config/mailpush.yaml"
	for name, valid := range map[string]time.Duration{"ca": 90 * 24 * time.Hour, "soon": time.Hour, "old": -time.Hour} {
		certificate, err := imaptest.NewCertificate(valid, "hooks.example")
		if err != nil {
			t.Fatal(err)
		}
		for suffix, content := range map[string][]byte{".pem": certificate.Cert, ".key": certificate.Key} {
			if err := os.WriteFile(filepath.Join(dir, name+suffix), content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	rule := func(name string) string {
		file := filepath.Join(dir, name)
		return "push.webhook.rules=[{origin: 'https://*.example', caFile: " + file + ".pem, certFile: " + file + ".pem, keyFile: " + file + ".key}]"
	}
	passcrypt := filepath.Join(dir, "passcrypt")
	if err := errors.Join(os.WriteFile(passcrypt, []byte("down the rabbit hole\n"), 0o600), os.Chmod(passcrypt, 0o622)); err != nil {
		t.Fatal(err)
	}
	checks := map[string]func(*settings.Settings) error{identity.Admin: adminwire.Check, identity.Vault: vaultwire.Check, identity.Worker: workerwire.Check}
	warnings := map[string]func(*settings.Settings) []string{identity.Admin: adminwire.Warnings, identity.Vault: vaultwire.Warnings}
	const remote = "postgres://vault:hunter2@db.example/vault"
	for _, c := range []struct {
		name    string
		service string
		args    []string
		code    int
		want    string
	}{
		{"version", identity.Vault, []string{"--version"}, 0, "credential-vault v1.2.3\n"},
		{"help", identity.Worker, []string{"--help"}, 0, "--config /etc/mailpush/mailpush.yaml"},
		{"unknown flag", identity.Worker, []string{"--confg", "x"}, 2, "confg"},
		{"a supervisor for the worker alone", identity.Vault, []string{"--supervise"}, 2, "flag provided but not defined: -supervise"},
		{"check a supervised worker", identity.Worker, []string{"--config", example, "--supervise", "--check"}, 0, "listener-worker: the configuration is valid"},
		{"supervise nothing that is invalid", identity.Worker, []string{"--supervise", "--set", "cluster.leaseTTL=1s"}, 1, "cluster.leaseTTL: 1s"},
		{"stray argument", identity.Worker, []string{"start"}, 2, `unexpected argument "start"`},
		{"no such file", identity.Worker, []string{"--config", dir + "/none.yaml"}, 1, "none.yaml"},
		{"unknown key", identity.Worker, []string{"--config", typo}, 1, `typo.yaml:3: unknown key "cluster.leasTTL"; did you mean "cluster.leaseTTL"?`},
		{"invalid value", identity.Worker, []string{"--check", "--set", "cluster.leaseTTL=1s"}, 1, "cluster.leaseTTL: 1s"},
		{"check admin-api", identity.Admin, []string{"--config", example, "--check"}, 0, "admin-api: the configuration is valid"},
		{"check vault", identity.Vault, []string{"--config", example, "--check"}, 0, "credential-vault: the configuration is valid"},
		{"check scheduler", identity.Scheduler, []string{"--config", example, "--check"}, 0, "scheduler: the configuration is valid"},
		{"check worker", identity.Worker, []string{"--config", example, "--check"}, 0, "listener-worker: the configuration is valid"},
		{"check a hash", identity.Admin, []string{"--config", example, "--check", "--set", "admin.administrators=[{name: a, passwordHash: $argon2id$}]"},
			1, "admin.administrators[0]: passwordHash: not an Argon2id hash"},
		{"check a token", identity.Admin, []string{"--config", example, "--check", "--set", "admin.applications=[{name: a, contexts: ['*'], tokenHash: " + strings.Repeat("x", 64) + "}]"},
			1, "admin.applications[0]: tokenHash: not the hexadecimal"},
		{"check names", identity.Admin, []string{"--config", example, "--check", "--set", "admin.administrators=[{name: a}, {name: a}]"},
			1, `admin.administrators[1]: the name "a" is given twice`},
		{"check a webhook rule", identity.Worker, []string{"--config", example, "--check", "--set", "push.webhook.rules=[{origin: 'https://hooks.example', caFile: " + dir + "/none.pem}]"},
			1, "push.webhook.rules[0].caFile: open " + dir + "/none.pem: no such file"},
		{"explain a webhook rule", identity.Worker, []string{"--config", example, "--check", "--set", rule("ca")},
			0, "; https://*.example by the authorities of " + dir + "/ca.pem and with the client certificate " + dir + "/ca.pem, until 20"},
		{"explain one that ends soon", identity.Worker, []string{"--config", example, "--check", "--set", rule("soon")},
			0, dir + "/soon.pem, ENDS SOON, on 20"},
		{"explain an old certificate", identity.Worker, []string{"--config", example, "--check", "--set", rule("old")},
			0, dir + "/old.pem, which has EXPIRED on 20"},
		{"check two webhook rules", identity.Worker, []string{"--config", example, "--check", "--set", "push.webhook.rules=[{origin: 'http://hooks.example'}, {origin: 'https://hooks.example'}]"},
			1, "push.webhook.rules[0].origin: must be https; http is not allowed here; want https://host, https://host:port or https://*.domain\npush.webhook.rules[1].caFile: is needed"},
		{"an unknown key of a webhook rule", identity.Worker, []string{"--check", "--set", "push.webhook.rules=[{orign: 'https://hooks.example'}]"},
			1, `unknown key "push.webhook.rules[0].orign"; did you mean "push.webhook.rules[0].origin"?`},
		{"check a short passphrase", identity.Vault, []string{"--check", "--set", "push.credstorage.passcrypt=hunter2"},
			1, "push.credstorage.passcrypt: the passphrase is too short"},
		{"check a file that others may write", identity.Vault, []string{"--check", "--set", "push.credstorage.passcryptFile=" + passcrypt},
			1, passcrypt + " has the mode 0622: others than its owner may replace the secret; chmod 0600 " + passcrypt},
		{"start with a file that others may write", identity.Vault, []string{"--set", "push.credstorage.passcryptFile=" + passcrypt},
			1, passcrypt + " has the mode 0622"},
		{"warn of etcd in clear text", identity.Scheduler, []string{"--check", "--set", "cluster.etcd.endpoints=['http://127.0.0.1:2379', 'http://etcd.example:2379']"},
			0, "warning        cluster.etcd.endpoints[1]: what goes to etcd.example:2379 crosses the network in CLEAR TEXT, or may do so; set https:// and cluster.etcd.caFile\n"},
		{"warn of the registry in clear text", identity.Admin, []string{"--config", example, "--check", "--set", "admin.databaseFile=", "--set", "admin.database=" + remote},
			0, "warning        admin.database: what goes to db.example crosses the network in CLEAR TEXT, or may do so; set sslmode=verify-full in its address\n"},
		{"warn of the vault in clear text", identity.Vault, []string{"--config", example, "--check", "--set", "vault.databaseFile=", "--set", "vault.database=" + remote},
			0, "warning        vault.database: what goes to db.example "},
		{"no certificates", identity.Worker, []string{"--set", "identity.dir=" + dir}, 1, "reading the authority's certificate"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			service := program.Service{Name: c.service, Build: unbuilt, Check: checks[c.service], Warnings: warnings[c.service]}
			code := program.Main(service, "v1.2.3", c.args, &out, &out)
			if code != c.code || !strings.Contains(out.String(), c.want) {
				t.Errorf("exit code %d, want %d; output lacks %q:\n%s", code, c.code, c.want, &out)
			}
			if strings.Contains(out.String(), "hunter2") {
				t.Errorf("it shows a secret:\n%s", &out)
			}
		})
	}
}
