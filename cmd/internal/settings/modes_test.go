// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mailpush.internal/pkg/identity"
)

func onDisk(string) bool  { return false }
func inMount(string) bool { return true }

func TestModesOfFilesWithSecrets(t *testing.T) {
	t.Parallel()
	const refused, warned, fine = "refused", "warned", "fine"
	for mode, want := range map[fs.FileMode]struct{ disk, mount string }{
		0o400: {fine, fine},
		0o600: {fine, fine},
		0o700: {fine, fine},
		0o440: {warned, fine}, // systemd, and Kubernetes by the chart
		0o640: {warned, fine},
		0o444: {refused, warned},
		0o644: {refused, warned}, // Kubernetes without a word
		0o604: {refused, warned},
		0o620: {refused, refused},
		0o660: {refused, refused},
		0o602: {refused, refused},
		0o666: {refused, refused},
	} {
		for _, at := range []struct {
			mounted bool
			want    string
		}{{false, want.disk}, {true, want.mount}} {
			got := fine
			switch words, no := judgeMode(mode, at.mounted); {
			case no:
				got = refused
			case words != "":
				got = warned
			}
			if got != at.want {
				t.Errorf("%04o, mounted %t: %s, want %s", mode, at.mounted, got, at.want)
			}
		}
	}
}

// Each secret is looked at by who reads it and by nobody else; what is public by nobody.
func TestSecretFilesOfEachService(t *testing.T) {
	t.Parallel()
	s, err := Load("", nil, []string{
		"identity.dir=/i", "cluster.etcd.passwordFile=/etcd", "cluster.etcd.keyFile=/etcd.key", "cluster.etcd.certFile=/public", "cluster.etcd.caFile=/public",
		"push.credstorage.passcryptFile=/passcrypt", "mail.masterPasswordFile=/master", "vault.databaseFile=/vault", "admin.databaseFile=/registry",
		"admin.tls.certFile=/public", "admin.tls.keyFile=/admin.key", "worker.notify.passwordFile=/notify", "worker.mailnotify.secretFile=/mailnotify",
		"worker.notify.tls.keyFile=/notify.key", "worker.notify.clientCAFile=/public",
		"mail.stores={m: {caFile: /public, backend: dovecot, doveadm: {url: 'http://h/doveadm/v1', apiKeyFile: /doveadm, caFile: /public}}}",
		"push.webhook.rules=[{origin: 'https://h', caFile: /public, certFile: /public, keyFile: /hook.key}]",
	})
	if err != nil {
		t.Fatal(err)
	}
	for service, want := range map[string]string{
		identity.Admin:     "/etcd /etcd.key /registry /admin.key /i/admin-api.key",
		identity.Vault:     "/passcrypt /master /vault /i/credential-vault.key",
		identity.Scheduler: "/etcd /etcd.key /i/scheduler.key",
		identity.Worker:    "/etcd /etcd.key /hook.key /doveadm /notify /notify.key /mailnotify /i/listener-worker.key",
	} {
		read := make(map[string]bool)
		for _, file := range s.ownSecretFiles(service) {
			read[file.name] = true
		}
		for name := range strings.FieldsSeq(want) {
			if !read[name] {
				t.Errorf("%s does not look at %s", service, name)
			}
			delete(read, name)
		}
		if len(read) > 0 {
			t.Errorf("%s looks at %v, too", service, read)
		}
	}
}

func TestFilesAreJudgedWhereTheyAre(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	place := func(name string, mode fs.FileMode) secretFile {
		t.Helper()
		file := secretFile{"some." + name + "File", filepath.Join(dir, name)}
		if err := os.WriteFile(file.name, []byte("very secret"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file.name, mode); err != nil {
			t.Fatal(err)
		}
		return file
	}
	open, group := place("open", 0o644), place("group", 0o640)
	link := secretFile{"some.linkFile", filepath.Join(dir, "link")} // as Kubernetes has them
	if err := os.Symlink("open", link.name); err != nil {
		t.Fatal(err)
	}
	files := []secretFile{open, group, link, place("own", 0o600), {"some.missingFile", filepath.Join(dir, "missing")}, {"some.nullFile", "/dev/null"}}

	warnings, err := judgeFiles(files, onDisk)
	if err == nil || len(warnings) != 1 || !strings.HasPrefix(warnings[0], "some.groupFile: "+group.name+" has the mode 0640: its group may read") {
		t.Fatalf("on a disk: %q, %v", warnings, err)
	}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != 2 || !strings.HasPrefix(lines[1], "some.linkFile: "+link.name) ||
		!strings.HasPrefix(lines[0], "some.openFile: "+open.name+" has the mode 0644: everybody on this machine may read the secret; chmod 0600 "+open.name+" mends it") {
		t.Errorf("on a disk: %v", err)
	}
	if warnings, err := judgeFiles(files, inMount); err != nil || len(warnings) != 2 {
		t.Errorf("in a mount: %q, %v", warnings, err)
	}
}

func TestWhatIsMounted(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"/run/secrets/passcrypt": true, "/run/secrets/../passcrypt/none": false, "/etc/mailpush/passcrypt": false,
	} {
		if got := mounted(name); got != want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// A service that is told of a file that others may replace does not start, nor says --check
// that it would; and its group alone is a warning.
func TestAServiceJudgesItsFiles(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "passcrypt")
	if err := os.WriteFile(file, []byte("very secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Load("", nil, []string{"push.credstorage.passcryptFile=" + file, "identity.dir=" + t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.CheckFileModes(identity.Vault), s.CheckFileModesSingle()); err != nil {
		t.Errorf("0600: %v", err)
	}
	if err := os.Chmod(file, 0o620); err != nil {
		t.Fatal(err)
	}
	if err := s.CheckFileModes(identity.Vault); err == nil || !strings.Contains(err.Error(), file+" has the mode 0620: others than its owner may replace") {
		t.Errorf("0620: %v", err)
	}
	if err := s.CheckFileModesSingle(); err == nil {
		t.Error("0620 in one process: it would start")
	}
	if err := s.CheckFileModes(identity.Worker); err != nil {
		t.Errorf("0620, which the worker does not read: %v", err)
	}
}
