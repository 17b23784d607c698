// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package allinone_test

import (
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"mailpush.internal/cmd/internal/allinone"
	"mailpush.internal/cmd/internal/settings"
)

// fullDisk names the directory in which a process of this test keeps a text without
// being able to write any byte.
const fullDisk = "MAILPUSH_TEST_FULL_DISK"

// A start on a full disk left an empty file, and the next start took the empty text
// for the administrator's password.
func TestFullDiskKeepsNoEmptyText(t *testing.T) {
	if dir := os.Getenv(fullDisk); dir != "" {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{}); err != nil {
			t.Fatal(err)
		}
		if _, err := allinone.Keep(dir, "word", func() string { return "open sesame" }); err == nil {
			t.Fatal("nothing can be written, but Keep says that it did")
		}
		return
	}
	t.Parallel()
	dir := t.TempDir()
	self := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFullDiskKeepsNoEmptyText$")
	self.Env = append(os.Environ(), fullDisk+"="+dir)
	if out, err := self.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	for range 2 {
		if got, err := allinone.Keep(dir, "word", func() string { return "open sesame" }); got != "open sesame" || err != nil {
			t.Errorf("with room again: %q, %v", got, err)
		}
	}
}

func TestEmptySecretsAreRefusedByName(t *testing.T) {
	t.Parallel()
	for _, name := range []string{allinone.AdminPasswordName, "passcrypt"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			path := filepath.Join(dir, name)
			if err := os.WriteFile(path, []byte("\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			s := settings.Embedded()
			s.Mail.Stores = map[string]settings.Store{"main": {Address: "127.0.0.1:143", TLS: settings.TLSNone}}
			s.AnyPort()
			_, err := allinone.New(t.Context(), allinone.Options{Dir: dir, Settings: s, Log: slog.New(slog.DiscardHandler)})
			if err == nil || !strings.Contains(err.Error(), path+" is empty") {
				t.Errorf("got %v, want a refusal that names %s", err, path)
			}
		})
	}
}
