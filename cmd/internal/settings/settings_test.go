// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package settings_test

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mailpush.internal/cmd/internal/config"
	"mailpush.internal/cmd/internal/settings"
	"mailpush.internal/cmd/internal/wire/adminwire"
	"mailpush.internal/pkg/identity"
	"mailpush.internal/pkg/secret"
)

// The example files are what operators copy: each must load as it is, and pass
// for every service.
func TestExamplesAreValid(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../../deployments/config/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no example configuration found: %v", err)
	}
	for _, file := range files {
		s, err := settings.Load(file, nil, nil)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		for _, service := range identity.Services() {
			if err := s.Validate(service); err != nil {
				t.Errorf("%s for %s: %v", file, service, err)
			}
		}
		if err := adminwire.Check(s); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// A value set in the example must be a documented one, and what the full example
// shows as a default must be the default.
func TestEverySettingIsDocumentedAndInTheFullExample(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../../deployments/config/mailpush.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, leaf := range config.Leaves(settings.Default()) {
		if leaf.Doc == "" {
			t.Errorf("%s has no doc tag", leaf.Key)
		}
		last := leaf.Key[strings.LastIndex(leaf.Key, ".")+1:]
		if !bytes.Contains(text, []byte(last+":")) {
			t.Errorf("%s does not appear in the full example", leaf.Key)
		}
	}
}

func TestDocumentedTableIsCurrent(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	var table bytes.Buffer
	settings.Table(&table)
	if !bytes.Contains(text, table.Bytes()) {
		t.Errorf("docs/configuration.md lacks the current table; `bin/mailpush settings` prints it:\n%s", &table)
	}
}

func TestEverySettingOfAMailStoreIsDocumented(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, leaf := range config.Leaves(new(settings.Store)) {
		if !bytes.Contains(text, []byte("\n| `"+leaf.Key+"` | ")) {
			t.Errorf("docs/configuration.md has no row for %s of a mail store", leaf.Key)
		}
	}
}

func TestValidateNamesTheKey(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, service string
		set           []string
		want          string
	}{
		{"lease below etcd's floor", identity.Worker, []string{"cluster.leaseTTL=1s"}, "cluster.leaseTTL: 1s"},
		{"shards not a power of two", identity.Scheduler, []string{"cluster.shards=1000"}, "cluster.shards: 1000"},
		{"no etcd", identity.Scheduler, []string{"cluster.etcd.endpoints=[]"}, "cluster.etcd.endpoints"},
		{"no administrator", identity.Admin, nil, "admin.administrators"},
		{"no store", identity.Admin, nil, "mail.stores"},
		{"public without TLS", identity.Admin, []string{"admin.listen=0.0.0.0:8080"}, "admin.tls: is needed"},
		{"global without master", identity.Admin, []string{"mail.passwordSource=global"}, "mail.passwordSource: global needs"},
		{"password source", identity.Vault, []string{"mail.passwordSource=mail"}, `mail.passwordSource: "mail"`},
		{"rdb without passphrase", identity.Vault, []string{"push.credstorage.rdb=true"}, "push.credstorage.passcrypt: is needed"},
		{"secret twice", identity.Vault, []string{"push.credstorage.passcrypt=x", "push.credstorage.passcryptFile=/x"}, "push.credstorage.passcrypt: is given"},
		{"IDLE too long", identity.Admin, []string{"mail.stores={main: {address: 'h:143', idleRefresh: 30m}}"}, "mail.stores.main.idleRefresh"},
		{"TLS mode", identity.Admin, []string{"mail.stores={main: {address: 'h:143', tls: maybe}}"}, "mail.stores.main.tls"},
		{"master login without a user", identity.Admin, []string{"mail.stores={main: {address: 'h:143', masterLogin: 'postmaster@{context}'}}"}, "mail.stores.main.masterLogin: \"postmaster@{context}\": want {user} and {context}"},
		{"master login with the user twice", identity.Admin, []string{"mail.stores={main: {address: 'h:143', masterLogin: '{user}@{user}'}}"}, "mail.stores.main.masterLogin: \"{user}@{user}\": want"},
		{"master login with another word", identity.Admin, []string{"mail.stores={main: {address: 'h:143', masterLogin: '{user}@{tenant}'}}"}, "mail.stores.main.masterLogin: \"{user}@{tenant}\": want"},
		{"master login that two users share", identity.Admin, []string{"mail.stores={main: {address: 'h:143', masterLogin: '{context}-{user}'}}"}, "mail.stores.main.masterLogin: \"{context}-{user}\": want a character between"},
		{"master login that contexts share", identity.Admin, []string{
			"mail.passwordSource=global", "mail.stores={main: {address: 'h:143', masterLogin: '{user}'}}",
			"admin.applications=[{name: web, tokenHash: x, contexts: ['1']}]",
		}, "mail.stores.main.masterLogin: without {context} it is the same in all contexts, and application \"web\" is not for all"},
		{"backend", identity.Worker, []string{"worker.backends=[carrierpigeon]"}, `worker.backends[0]: "carrierpigeon": want one of: dovecot, imapidle, mailnotify`},
		{"no backend", identity.Worker, []string{"worker.backends=[]"}, "worker.backends: want at least one: dovecot, imapidle, mailnotify"},
		{"store's backend", identity.Admin, []string{"mail.stores={main: {address: 'h:143', backend: carrierpigeon}}"}, `mail.stores.main.backend: "carrierpigeon": want one of: dovecot, imapidle, mailnotify`},
		{"neither IMAP nor doveadm", identity.Admin, dovecotStore(""), "mail.stores.main.address: \"\": want host:port"},
		{"doveadm without a URL", identity.Admin, dovecotStore("doveadm: {apiKeyFile: /key}"), "mail.stores.main.doveadm.url: is needed"},
		{"doveadm without a key", identity.Worker, dovecotStore("doveadm: {url: 'http://h/doveadm/v1'}"), "mail.stores.main.doveadm.apiKeyFile: is needed"},
		{"doveadm with two keys", identity.Worker, dovecotStore("doveadm: {url: 'http://h/doveadm/v1', apiKey: a, apiKeyFile: /b}"), "mail.stores.main.doveadm.apiKey: is given in place and as"},
		{"doveadm's URL without a path", identity.Admin, dovecotStore("doveadm: {url: 'http://h:8080', apiKey: a}"), "mail.stores.main.doveadm.url: want http://host"},
		{"doveadm's URL with a password", identity.Admin, dovecotStore("doveadm: {url: 'http://u:hunter2@h/doveadm/v1', apiKey: a}"), "mail.stores.main.doveadm.url: want http://host"},
		{"doveadm's URL is none", identity.Admin, dovecotStore("doveadm: {url: 'unix:/run/doveadm', apiKey: a}"), "mail.stores.main.doveadm.url: want http://host"},
		{"doveadm asked too much", identity.Admin, dovecotStore("doveadm: {url: 'http://h/doveadm/v1', apiKey: a, concurrency: 65}"), "mail.stores.main.doveadm.concurrency: 65"},
		{"doveadm without time", identity.Admin, dovecotStore("doveadm: {url: 'http://h/doveadm/v1', apiKey: a, timeout: -1s}"), "mail.stores.main.doveadm.timeout: -1s: must not"},
		{"doveadm of another backend", identity.Admin, []string{"mail.stores={main: {address: 'h:143', doveadm: {url: 'http://h/doveadm/v1', apiKey: a}}}"}, "mail.stores.main.doveadm: is for the backend dovecot"},
		{"asked too often", identity.Admin, dovecotStore("reconcilePerSecond: 10001"), "mail.stores.main.reconcilePerSecond: 10001"},
		{"doveadm's logins that contexts share", identity.Admin, append(
			dovecotStore("masterLogin: '{user}', doveadm: {url: 'http://h/doveadm/v1', apiKey: a}"), "admin.applications=[{name: web, tokenHash: x, contexts: ['1']}]",
		), "mail.stores.main.masterLogin: without {context} it is the same in all contexts"},
		{"unreachable worker", identity.Worker, []string{"worker.listen=0.0.0.0:8104"}, "worker.advertise"},
		{"allowed prefix with host bits", identity.Worker, []string{"push.webhook.allowPrivate=[10.1.2.3/8]"}, "push.webhook.allowPrivate[0]: \"10.1.2.3/8\": want 10.0.0.0/8"},
		{"allowed prefix of mapped addresses", identity.Worker, []string{"push.webhook.allowPrivate=['::ffff:10.0.0.0/104']"}, "push.webhook.allowPrivate[0]: \"::ffff:10.0.0.0/104\": want the prefix as IPv4"},
		{"allowed port that is none", identity.Worker, []string{"push.webhook.allowPorts=[443, 0]"}, "push.webhook.allowPorts[1]: want a port from 1 to 65535"},
		{"allowed prefix that is none", identity.Worker, []string{"push.webhook.allowPrivate=['']"}, "push.webhook.allowPrivate[0]: want a prefix"},
		{"notifications from anybody", identity.Worker, []string{"worker.notify.listen=127.0.0.1:8105"}, "worker.notify.username: want username and passwordFile, or clientCAFile"},
		{"notifications without a password", identity.Worker, []string{"worker.notify.listen=127.0.0.1:8105", "worker.notify.username=dove"}, "worker.notify.username: username and password"},
		{"notifications in clear text", identity.Worker, []string{"worker.notify.listen=0.0.0.0:8105", "worker.notify.username=dove", "worker.notify.password=x"}, `worker.notify.tls: is needed: worker.notify.listen "0.0.0.0:8105"`},
		{"certificates without TLS", identity.Worker, []string{"worker.notify.listen=127.0.0.1:8105", "worker.notify.clientCAFile=/ca"}, "worker.notify.clientCAFile: needs tls"},
		{"half of a certificate", identity.Worker, []string{"worker.notify.tls.certFile=/crt"}, "worker.notify.tls: certFile and keyFile go together"},
		{"a notify address without a port", identity.Worker, []string{"worker.notify.listen=localhost"}, `worker.notify.listen: "localhost": want host:port`},
		{"datagrams from anybody", identity.Worker, []string{"worker.mailnotify.listen=127.0.0.1:23420"}, "worker.mailnotify.allow: want at least one prefix"},
		{"datagrams from host bits", identity.Worker, []string{"worker.mailnotify.allow=[10.1.2.3/8]"}, `worker.mailnotify.allow[0]: "10.1.2.3/8": want 10.0.0.0/8`},
		{"an interface without a group", identity.Worker, []string{"worker.mailnotify.listen=127.0.0.1:23420", "worker.mailnotify.interface=eth0"}, `worker.mailnotify.interface: is for a multicast group, and worker.mailnotify.listen "127.0.0.1:23420" is none`},
		{"a negative window", identity.Worker, []string{"worker.mailnotify.window=-1s"}, "worker.mailnotify.window: -1s"},
		{"log level", identity.Worker, []string{"log.level=loud"}, "log.level"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, err := settings.Load("", nil, c.set)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Validate(c.service); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// dovecotStore is a mail store with the backend dovecot, and other settings.
func dovecotStore(others string) []string {
	return []string{"mail.stores={main: {backend: dovecot, " + others + "}}"}
}

// A worker in one process with admin-api is all there is: a mail store that it cannot
// listen to is a mistake, and elsewhere another worker's.
func TestStoreOfABackendThatTheOneWorkerHasNot(t *testing.T) {
	t.Parallel()
	s, err := settings.Load("", nil, dovecotStore("address: 'h:143'"))
	if err != nil {
		t.Fatal(err)
	}
	const want = `mail.stores.main.backend: "dovecot": the worker has it not`
	if err := s.Validate(identity.Admin, identity.Worker); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("together: %v", err)
	}
	s.Worker.Backends = append(s.Worker.Backends, settings.BackendDovecot)
	if err := s.Validate(identity.Admin, identity.Worker); strings.Contains(err.Error(), want) {
		t.Errorf("with it: %v", err)
	}
}

func TestEveryBackendSaysWhetherItMayBePermanent(t *testing.T) {
	t.Parallel()
	for _, permanent := range []bool{true, false} {
		s := settings.Settings{IMAPIdle: settings.IMAPIdle{SupportsPermanentListeners: permanent}}
		got := s.PermanentBackends()
		if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, settings.Backends()) || got[settings.BackendIMAPIdle] != permanent {
			t.Errorf("got %v", got)
		}
	}
}

func TestMasterLoginsThatKeepUsersApart(t *testing.T) {
	t.Parallel()
	for _, login := range []string{"", "{user}@{context}", "{context}/{user}", "{user}@mail-{context}.example.org", "u.{user}", "{user}@example.org"} {
		s, err := settings.Load("../../../deployments/config/postgres.yaml", nil, []string{
			"mail.stores={main: {address: 'h:143', masterLogin: '" + login + "'}}",
			"admin.applications=[{name: web, tokenHash: " + strings.Repeat("0", 64) + ", contexts: ['1', '*']}]",
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Validate(identity.Admin); err != nil {
			t.Errorf("%q: %v", login, err)
		}
	}
}

// A file with the database's URL wins over the default place, and over nothing else.
func TestDatabaseIsGivenOnce(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"admin.database", "vault.database"} {
		_, err := settings.Load("", []string{"MAILPUSH_" + strings.ToUpper(strings.Replace(key, ".", "_", 1)) + "_FILE=/file"}, []string{key + "=sqlite:///place"})
		if err == nil || !strings.Contains(err.Error(), key+" (") || !strings.Contains(err.Error(), key+"File (MAILPUSH_") {
			t.Errorf("%s twice: %v", key, err)
		}
		for _, set := range [][]string{{key + "File=/file"}, {key + "=", key + "File=/file"}, {key + "=sqlite:///place", key + "File="}} {
			if _, err := settings.Load("", nil, set); err != nil {
				t.Errorf("%v: %v", set, err)
			}
		}
	}
}

func TestSecretComesFromTheFirstLineOfItsFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "passcrypt")
	if err := os.WriteFile(file, []byte("correct horse\nbattery\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := settings.Secret(secret.New("inline"), file)
	if err != nil || got.Reveal() != "correct horse" {
		t.Errorf("Secret = %q, %v", got.Reveal(), err)
	}
	if err := os.WriteFile(file, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := settings.Secret(secret.String{}, file); err == nil || strings.Contains(err.Error(), "correct") {
		t.Errorf("an empty file: %v", err)
	}
}

func TestExplainHidesSecrets(t *testing.T) {
	t.Parallel()
	s, err := settings.Load("../../../deployments/config/mailpush.yaml", nil, []string{"push.credstorage.passcryptFile=", "push.credstorage.passcrypt=hunter2"})
	if err != nil {
		t.Fatal(err)
	}
	for _, service := range identity.Services() {
		var out bytes.Buffer
		s.Explain(&out, service)
		if out.Len() == 0 || strings.Contains(out.String(), "hunter2") {
			t.Errorf("%s:\n%s", service, &out)
		}
	}
}
