// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package vaultwire_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mailpush.internal/cmd/internal/settings"
	"mailpush.internal/cmd/internal/wire/vaultwire"
)

// A short passphrase is refused wherever it comes from, with the place, and is not shown.
func TestShortPassphraseIsRefusedWhereverItComesFrom(t *testing.T) {
	t.Parallel()
	const short, key = "zwölf Wörter", "push.credstorage.passcrypt: the passphrase is too short"
	dir := t.TempDir()
	file, config := filepath.Join(dir, "passcrypt"), filepath.Join(dir, "mailpush.yaml")
	for name, text := range map[string]string{file: short + "\nwith a second line that is none of it\n", config: "push: {credstorage: {passcrypt: '" + short + "'}}\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const allowed = "push.credstorage.allowShortPasscrypt=true"
	for name, c := range map[string]struct {
		config       string
		environ, set []string
		want         string // empty: none
	}{
		"from a flag":                            {set: []string{"push.credstorage.passcrypt=" + short}, want: key},
		"from the file":                          {config: config, want: config + ":1: " + key},
		"from the environment":                   {environ: []string{"MAILPUSH_PUSH_CREDSTORAGE_PASSCRYPT=" + short}, want: "MAILPUSH_PUSH_CREDSTORAGE_PASSCRYPT: " + key},
		"from a file":                            {set: []string{"push.credstorage.passcryptFile=" + file}, want: key},
		"from a file that the environment names": {environ: []string{"MAILPUSH_PUSH_CREDSTORAGE_PASSCRYPT_FILE=" + file}, want: "MAILPUSH_PUSH_CREDSTORAGE_PASSCRYPT_FILE: " + key},
		"but not when it is allowed":             {config: config, set: []string{allowed}},
		"but not when it is long enough":         {set: []string{"push.credstorage.passcrypt=sechzehn Zeichen"}},
		"but not when the file is elsewhere":     {set: []string{"push.credstorage.passcryptFile=" + filepath.Join(dir, "none")}},
		"but not when it could be read once":     {set: []string{"push.credstorage.passcryptFile=/dev/null"}},
		"but not when there is none":             {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := settings.Load(c.config, c.environ, c.set)
			if err != nil {
				t.Fatal(err)
			}
			said := ""
			if err := vaultwire.Check(s); err != nil {
				said = err.Error()
			}
			if (said == "") != (c.want == "") || !strings.HasPrefix(said, c.want) || strings.Contains(said, short) {
				t.Errorf("got %q, want %q", said, c.want)
			}
		})
	}
}
