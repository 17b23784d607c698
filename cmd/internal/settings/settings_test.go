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
		{"backend", identity.Worker, []string{"worker.backends=[carrierpigeon]"}, `worker.backends: "carrierpigeon": want one of: imapidle`},
		{"backend of later", identity.Worker, []string{"worker.backends=[imapidle, dovecot]"}, `worker.backends: "dovecot": this version does not have that backend yet; it has: imapidle`},
		{"no backend", identity.Worker, []string{"worker.backends=[]"}, "worker.backends: want at least one: imapidle"},
		{"store's backend", identity.Admin, []string{"mail.stores={main: {address: 'h:143', backend: carrierpigeon}}"}, `mail.stores.main.backend: "carrierpigeon": want one of: imapidle`},
		{"store's backend of later", identity.Admin, []string{"mail.stores={main: {address: 'h:143', backend: mailnotify}}"}, `mail.stores.main.backend: "mailnotify": this version does not have that backend yet; it has: imapidle`},
		{"unreachable worker", identity.Worker, []string{"worker.listen=0.0.0.0:8104"}, "worker.advertise"},
		{"allowed prefix with host bits", identity.Worker, []string{"push.webhook.allowPrivate=[10.1.2.3/8]"}, "push.webhook.allowPrivate: \"10.1.2.3/8\": want 10.0.0.0/8"},
		{"allowed prefix of mapped addresses", identity.Worker, []string{"push.webhook.allowPrivate=['::ffff:10.0.0.0/104']"}, "push.webhook.allowPrivate: \"::ffff:10.0.0.0/104\": want the prefix as IPv4"},
		{"allowed prefix that is none", identity.Worker, []string{"push.webhook.allowPrivate=['']"}, "push.webhook.allowPrivate: want prefixes"},
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
