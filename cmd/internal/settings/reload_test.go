// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package settings_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mailpush.internal/cmd/internal/config"
	"mailpush.internal/cmd/internal/settings"
	"mailpush.internal/pkg/identity"
	"mailpush.internal/pkg/imaptest"
)

// Of each setting it is known what a change of it takes, and of no other.
func TestEverySettingHasAnUptake(t *testing.T) {
	t.Parallel()
	var keys []string
	for _, leaf := range config.Leaves(settings.Default()) {
		keys = append(keys, leaf.Key)
	}
	for _, leaf := range config.Leaves(new(settings.Store)) {
		keys = append(keys, "mail.stores.*."+leaf.Key)
	}
	fits := make(map[string]bool)
	for _, key := range keys {
		var best settings.Uptake
		for _, one := range settings.Uptakes() {
			if (key == one.Key || strings.HasPrefix(key, one.Key+".")) && len(one.Key) > len(best.Key) {
				best = one
			}
		}
		if best.Key == "" || len(best.Live)+len(best.Restart) == 0 {
			t.Errorf("of %s it is not known what a change takes", key)
		}
		fits[best.Key] = true
	}
	for _, one := range settings.Uptakes() {
		if !fits[one.Key] {
			t.Errorf("no setting is called %s, or others say more of each", one.Key)
		}
		if (one.Note == "") != (len(one.Live) == 0) {
			t.Errorf("%s: what then is said of what is taken live, and of nothing else", one.Key)
		}
	}
}

func TestDocumentedUptakesAreCurrent(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../../docs/reload.md")
	if err != nil {
		t.Fatal(err)
	}
	var table bytes.Buffer
	settings.UptakeTable(&table)
	if !bytes.Contains(text, table.Bytes()) {
		t.Errorf("docs/reload.md lacks the current table; `bin/mailpush settings --reload` prints it:\n%s", &table)
	}
}

func TestChangesAreSortedByWhatTheyTake(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return filepath.Join(dir, name)
	}
	key, master := write("key", "one\n"), write("master", "one\n")
	base := []string{
		"mail.stores={main.site: {address: 'h:143', backend: dovecot, doveadm: {url: 'http://h/doveadm/v1', apiKeyFile: '" + key + "'}}}",
		"mail.masterPasswordFile=" + master, "identity.dir=" + dir,
	}
	values := func(service string, set ...string) settings.Values {
		t.Helper()
		s, err := settings.Load("", nil, slices.Concat(base, set))
		if err != nil {
			t.Fatal(err)
		}
		return s.Values(service)
	}
	for _, c := range []struct {
		name, service string
		change        func() []string // of files, or settings
		want          settings.Changes
	}{
		{"nothing", identity.Admin, func() []string { return nil }, settings.Changes{}},
		{"a switch", identity.Admin, func() []string { return []string{"push.allowPermanentPush=false"} }, settings.Changes{Live: []string{"push.allowPermanentPush"}}},
		{"a switch of others", identity.Worker, func() []string { return []string{"push.allowPermanentPush=false"} }, settings.Changes{}},
		{"an address", identity.Worker, func() []string { return []string{"worker.listen=127.0.0.1:9"} }, settings.Changes{Restart: []string{"worker.listen"}}},
		{"a list", identity.Admin, func() []string {
			return []string{"admin.applications=[{name: a, tokenHash: x, contexts: ['1']}, {name: b, tokenHash: y, contexts: ['1']}]"}
		}, settings.Changes{Live: []string{"admin.applications"}}},
		{"TLS where there was none", identity.Admin, func() []string { return []string{"admin.tls.certFile=" + key} }, settings.Changes{Restart: []string{"admin.tls.certFile"}}},
		{"a file with a secret", identity.Vault, func() []string {
			write("master", "two\n")
			return nil
		}, settings.Changes{Live: []string{"mail.masterPasswordFile"}}},
		{"a key of a mail store with a dot in its name", identity.Worker, func() []string {
			write("key", "two\n")
			return nil
		}, settings.Changes{Live: []string{"mail.stores.main.site.doveadm.apiKeyFile"}}},
		{"a certificate", identity.Vault, func() []string {
			write("credential-vault.crt", "x")
			return nil
		}, settings.Changes{Live: []string{"identity.dir"}}},
		{"a certificate of others", identity.Admin, func() []string {
			write("credential-vault.key", "x")
			return nil
		}, settings.Changes{}},
		{"a file that is gone", identity.Vault, func() []string {
			if err := os.Remove(master); err != nil {
				t.Fatal(err)
			}
			return nil
		}, settings.Changes{Live: []string{"mail.masterPasswordFile"}}},
	} {
		before := values(c.service)
		got := before.ChangesFor([]string{c.service}, values(c.service, c.change()...))
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

// A mail store that goes is named by each of its settings, and takes no restart.
func TestAMailStoreThatGoesTakesNoRestart(t *testing.T) {
	t.Parallel()
	with, err := settings.Load("", nil, dovecotStore("address: 'h:143'"))
	if err != nil {
		t.Fatal(err)
	}
	got := with.Values().ChangesFor([]string{identity.Admin, identity.Worker}, settings.Default().Values())
	if len(got.Restart) != 0 || len(got.Live) < 5 || !strings.HasPrefix(got.Live[0], "mail.stores.main.") {
		t.Errorf("%+v", got)
	}
}

func TestValuesKeepNoSecret(t *testing.T) {
	t.Parallel()
	s, err := settings.Load("", nil, []string{"push.credstorage.passcrypt=hunter2"})
	if err != nil {
		t.Fatal(err)
	}
	one := s.Values(identity.Vault)
	if shown := fmt.Sprint(one); strings.Contains(shown, "hunter2") {
		t.Error("it is shown")
	}
	if s, err = settings.Load("", nil, []string{"push.credstorage.passcrypt=hunter3"}); err != nil {
		t.Fatal(err)
	}
	want := settings.Changes{Restart: []string{"push.credstorage.passcrypt"}}
	if diff := cmp.Diff(want, one.ChangesFor([]string{identity.Vault}, s.Values(identity.Vault))); diff != "" {
		t.Errorf("another passphrase (-want +got):\n%s", diff)
	}
}

// A pipe can be read once: to look at it again would take what is in it from the service.
func TestWhatIsNoFileIsNotReadAgain(t *testing.T) {
	t.Parallel()
	if _, err := settings.ReadFile("/dev/zero"); err == nil || !strings.Contains(err.Error(), "no file") {
		t.Errorf("a device: %v", err)
	}
	if _, err := settings.ReadFile(t.TempDir()); err == nil || !strings.Contains(err.Error(), "no file") {
		t.Errorf("a directory: %v", err)
	}
}

func TestCertificatesThatAServiceShowsTellTheirEnd(t *testing.T) {
	t.Parallel()
	certificate, err := imaptest.NewCertificate(time.Hour, "push.example")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "tls.crt")
	if err := os.WriteFile(file, append([]byte("a comment\n"), certificate.Cert...), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := settings.Load("", nil, []string{"admin.tls.certFile=" + file, "worker.notify.tls.certFile=/none"})
	if err != nil {
		t.Fatal(err)
	}
	ends := s.CertificateEnds(identity.Admin)
	if left := time.Until(ends["admin.tls.certFile"]); len(ends) != 1 || left < 50*time.Minute || left > time.Hour {
		t.Errorf("ends: %v", ends)
	}
	if ends := s.CertificateEnds(identity.Worker); len(ends) != 0 {
		t.Errorf("of a worker: %v", ends)
	}
}
