// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func dovecotSettings(t *testing.T, stores string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "mailpush.yaml")
	text := "mail: {stores: {" + stores + "}}\nworker: {notify: {listen: 127.0.0.1:8105, username: dovecot, password: hunter2}}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

const (
	aDovecot  = "main: {backend: dovecot, doveadm: {url: 'https://mail.example:8443/doveadm/v1', apiKey: hunter3}}"
	noDoveadm = "plain: {backend: dovecot, address: 'h:143'}"
)

func TestDovecotConfigSaysWhatGoesWithTheSettings(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		stores string
		args   []string
		want   []string
		not    []string
	}{
		"2.3": {aDovecot, nil, []string{
			`mail store "main"`, "ox:url=http://dovecot:PASSWORD@127.0.0.1:8105/preliminary/http-notify/v1/notify user_from_metadata",
			"mail_attribute_dict = file:%h/dovecot-attributes", "port = 8443\n    ssl = yes", "doveadm_api_key = KEY", "mail.stores.main.doveadm.apiKey",
		}, nil},
		"2.4": {aDovecot, []string{"--dovecot", "2.4"}, []string{
			"ox_url = http://dovecot:PASSWORD@127.0.0.1:8105/preliminary/http-notify/v1/notify", "port = 8443", "restart_request_count = 100",
		}, []string{"$mail_plugins", "%h"}},
		"without doveadm": {noDoveadm, nil, []string{`mail store "plain"`}, []string{"doveadm"}},
		"of two":          {aDovecot + ", " + noDoveadm, []string{"--store", "plain"}, []string{`mail store "plain"`}, nil},
		"another address": {noDoveadm, []string{"--notify-url", "https://push.example"}, []string{
			"ox:url=https://dovecot:PASSWORD@push.example/preliminary/http-notify/v1/notify ",
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, err := execute(t, "", append([]string{"dovecot-config", "--config", dovecotSettings(t, c.stores)}, c.args...)...)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range c.want {
				if !strings.Contains(out, want) {
					t.Errorf("lacks %q:\n%s", want, out)
				}
			}
			for _, not := range append(c.not, "hunter") {
				if strings.Contains(out, not) {
					t.Errorf("has %q:\n%s", not, out)
				}
			}
		})
	}
}

func TestDovecotConfigSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		stores string
		args   []string
		want   string
	}{
		"none":    {"main: {address: 'h:143'}", nil, "no mail store has the backend dovecot"},
		"several": {aDovecot + ", " + noDoveadm, nil, "name one by --store: main, plain"},
		"another": {aDovecot, []string{"--store", "other"}, "there are: main"},
		"release": {aDovecot, []string{"--dovecot", "2.2"}, "want 2.3 or 2.4"},
		"address": {aDovecot, []string{"--notify-url", "elsewhere"}, "want http(s)://host:port"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := execute(t, "", append([]string{"dovecot-config", "--config", dovecotSettings(t, c.stores)}, c.args...)...)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// What is printed for 2.3 is what a Dovecot 2.3 takes.
func TestDovecotTakesWhatIsPrinted(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("needs Dovecot: run make test") //nolint:forbidigo // only with -short
	}
	out, err := execute(t, "", "dovecot-config", "--config", dovecotSettings(t, aDovecot))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "dovecot.conf")
	text := "ssl = no\nprotocols = imap lmtp\n" + strings.ReplaceAll(out, "KEY", "key")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	said, err := exec.CommandContext(t.Context(), "doveconf", "-n", "-c", file).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	for _, want := range []string{
		"mail_attribute_dict = file:%h/dovecot-attributes", "imap_metadata = yes", "notify push_notification",
		"push_notification_driver = ox:url=http://", "@127.0.0.1:8105/preliminary/http-notify/v1/notify user_from_metadata", "port = 8443", "service_count = 100",
	} {
		if !strings.Contains(string(said), want) {
			t.Errorf("Dovecot's word lacks %q:\n%s", want, said)
		}
	}
}
