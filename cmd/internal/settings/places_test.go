// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package settings_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mailpush.internal/cmd/internal/settings"
	"mailpush.internal/cmd/internal/wire/adminwire"
	"mailpush.internal/pkg/identity"
)

// validate is all that admin-api and a worker find wrong with a file and flags.
func validate(t *testing.T, text string, environ, set []string) string {
	t.Helper()
	file := ""
	if text != "" {
		file = filepath.Join(t.TempDir(), "x.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := settings.Load(file, environ, set)
	if err != nil {
		return err.Error()
	}
	var said []string
	for _, err := range []error{s.Validate(identity.Services()...), adminwire.Check(s)} {
		if err != nil {
			said = append(said, err.Error())
		}
	}
	return strings.Join(said, "\n")
}

// What is wrong is told with the line it stands on, the variable or the flag.
func TestProblemsSayWhereTheyStand(t *testing.T) {
	t.Parallel()
	const text = `worker:
  listen: 127.0.0.1:99999
  mailnotify:
    allow: [10.0.0.0/8,
      10.1.2.3/8]
mail:
  stores:
    main:
      address: imap.example.com
      pollInterval: -1s
    other.one:
      address: imap.example.com:993
      tls: maybe
push:
  webhook:
    allowPrivate:
    - 10.1.0.0/16
    - 10.1.2.3/16
admin:
  allowedOrigins:
  - https://mail.example.com
  - https://mail.example.com/
  administrators:
  - name: a
    passwordHash: none
cluster:
  etcd:
    endpoints: [ftp://x]
`
	said := validate(t, text, []string{"MAILPUSH_LOG_LEVEL=loud"}, []string{"vault.listen=h", "worker.backends=[imapidle, pigeon]"})
	for _, want := range []string{
		`x.yaml:2: worker.listen: "127.0.0.1:99999": want a port from 1 to 65535`,
		`x.yaml:5: worker.mailnotify.allow[1]: "10.1.2.3/8": want 10.0.0.0/8, or fewer addresses`,
		`x.yaml:9: mail.stores.main.address: "imap.example.com": want host:port`,
		`x.yaml:10: mail.stores.main.pollInterval: -1s: must not be negative`,
		`x.yaml:13: mail.stores.other.one.tls: "maybe": want`,
		`x.yaml:18: push.webhook.allowPrivate[1]: "10.1.2.3/16": want 10.1.0.0/16, or fewer addresses`,
		`x.yaml:22: admin.allowedOrigins[1]: "https://mail.example.com/": want an origin like https://mail.example.com, with nothing after`,
		`x.yaml:25: admin.administrators[0]: passwordHash: not an Argon2id hash`,
		`x.yaml:28: cluster.etcd.endpoints[0]: want http://host:port or https://host:port`,
		`MAILPUSH_LOG_LEVEL: log.level: "loud": want debug, info, warn or error`,
		`--set worker.backends: worker.backends[1]: "pigeon": want one of`,
	} {
		if !strings.Contains(said, want) {
			t.Errorf("lacks %s", want)
		}
	}
	// A flag names its key by itself.
	if !strings.Contains("\n"+said, "\nvault.listen: \"h\": want host:port") {
		t.Error("the flag is not told as it should be")
	}
	if t.Failed() {
		t.Log(said)
	}
}

// Values that would do nothing, or something else than they say, are refused by the name
// of their field.
func TestValuesThatCannotBeMeant(t *testing.T) {
	t.Parallel()
	for set, want := range map[string]string{
		"admin.allowedOrigins=[mail.example.com]":                                            `admin.allowedOrigins[0]: "mail.example.com": want an origin like`,
		"admin.allowedOrigins=['']":                                                          `admin.allowedOrigins[0]: "": want an origin like`,
		"admin.allowedOrigins=['null']":                                                      `admin.allowedOrigins[0]: "null": want an origin like`,
		"admin.allowedOrigins=['https://u:p@h']":                                             `want an origin like`,
		"admin.allowedOrigins=['https://h/app']":                                             `with nothing after the host and port`,
		"admin.allowedOrigins=['https://h?']":                                                `with nothing after the host and port`,
		"admin.allowedOrigins=['https://h:443']":                                             `want it without the port`,
		"admin.allowedOrigins=['http://h:80']":                                               `want it without the port`,
		"admin.allowedOrigins=['https://h:70000']":                                           `want a port from 1 to 65535`,
		"admin.allowedOrigins=['https://h:']":                                                `want a port from 1 to 65535`,
		"admin.allowedOrigins=['https://bücher.example']":                                    `international names are written with xn--`,
		"admin.allowedOrigins=['https://*.*.example.com']":                                   `one * stands for any text`,
		"admin.allowedOrigins=['https://a b']":                                               `want an origin like`,
		"push.allowedClients=['']":                                                           `push.allowedClients[0]: "": want a client's name`,
		"push.allowedClients=[web, 'my client']":                                             `push.allowedClients[1]: "my client": want a client's name`,
		"push.webhook.allowPrivate=['10.0.0.0/33']":                                          `push.webhook.allowPrivate[0]: "10.0.0.0/33" does not fit: want a prefix`,
		"push.webhook.allowPrivate=['10.0.0.1']":                                             `push.webhook.allowPrivate[0]: "10.0.0.1" does not fit: want a prefix`,
		"worker.mailnotify.allow=['::ffff:10.0.0.0/104']":                                    `worker.mailnotify.allow[0]: "::ffff:10.0.0.0/104": want the prefix as IPv4`,
		"worker.mailnotify.allow=[example.com]":                                              `worker.mailnotify.allow[0]: "example.com" does not fit: want a prefix`,
		"worker.mailnotify.socket=/" + strings.Repeat("x", 107):                              `want a path of at most 107 bytes`,
		"worker.listen=127.0.0.1:-1":                                                         `worker.listen: "127.0.0.1:-1": want a port from 1 to 65535`,
		"worker.listen=a b:1":                                                                `"a b" is neither a name nor an address`,
		"worker.listen=::1:8104":                                                             `worker.listen: "::1:8104": want host:port`,
		"worker.advertise=:8104":                                                             `worker.advertise: ":8104": want host:port, and there is no host`,
		"worker.advertise=h:0":                                                               `worker.advertise: "h:0": want a port from 1 to 65535`,
		"admin.internalAddress=[h]":                                                          `admin.internalAddress[0]: "h": want host:port`,
		"admin.internalAddress=['h:1', 'h:65536']":                                           `admin.internalAddress[1]: "h:65536": want a port`,
		"vault.address=['https://h:1']":                                                      `vault.address[0]: "https://h:1": want host:port`,
		"scheduler.address=[h/x:1]":                                                          `scheduler.address[0]: "h/x:1": want host:port, and "h/x" is neither`,
		"cluster.etcd.endpoints=['http://h:70000']":                                          `cluster.etcd.endpoints[0]: want http://host:port or https://host:port, and its port from 1`,
		"cluster.etcd.endpoints=['h:2379']":                                                  `cluster.etcd.endpoints[0]: want http://host:port or https://host:port`,
		"cluster.etcd.endpoints=['http://root:hunter2@h']":                                   `cluster.etcd.endpoints[0]: want http://host:port or https://host:port, without anything secret in it`,
		"cluster.etcd.endpoints=['http://root:hun%zzter2@h']":                                `cluster.etcd.endpoints[0]: want http://host:port or https://host:port, without anything secret in it`,
		"mail.stores={m: {address: 'h:99999'}}":                                              `mail.stores.m.address: "h:99999": want a port`,
		"mail.stores={m: {address: ':993'}}":                                                 `mail.stores.m.address: ":993": want host:port, and there is no host`,
		"mail.stores={m: {address: 'h:993', serverName: 'h:993'}}":                           `mail.stores.m.serverName: "h:993": want the name`,
		"mail.stores={m: {address: 'h:1', idleRefresh: 540}}":                                `mail.stores.m.idleRefresh: "540" does not fit: want a duration like 30s or 5m`,
		"mail.stores={m: {address: 'h:1', responseTimeout: -1s}}":                            `mail.stores.m.responseTimeout: -1s: must not be negative`,
		"mail.stores={m: {backend: dovecot, doveadm: {url: 'http://h:70000/x', apiKey: k}}}": `mail.stores.m.doveadm.url: want http://host:port/doveadm/v1 or https://, and its port`,
		"mail.stores={m: {backend: dovecot, doveadm: {url: 'http://a b/x', apiKey: k}}}":     `mail.stores.m.doveadm.url: want`,
		"admin.tls.certFile=/etc/crt ":                                                       `admin.tls.certFile: "/etc/crt ": want the path of a file, without space`,
		"push.credstorage.passcryptFile=/etc/pass\n":                                         `push.credstorage.passcryptFile: "/etc/pass\n": want the path of a file`,
		"cluster.leaseTTL=5":                                                                 `"5" does not fit: want a duration like 30s or 5m`,
		"admin.listen=LOCALHOST:8080":                                                        "",
	} {
		said := validate(t, "", nil, []string{set})
		if want == "" {
			if strings.Contains(said, "admin.tls") {
				t.Errorf("%s: %s", set, said)
			}
			continue
		}
		if !strings.Contains(said, want) {
			t.Errorf("%s: lacks %s\n%s", set, want, said)
		}
		if strings.Contains(said, "hunter2") || strings.Contains(said, "zzter2") {
			t.Errorf("%s: shows a password", set)
		}
	}
}

// --check says which files are missing where the service would run, by their keys.
func TestExplainNotesMissingFiles(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "none")
	s, err := settings.Load("", nil, []string{"admin.tls.certFile=" + missing, "worker.notify.passwordFile=" + missing, "vault.databaseFile=" + missing})
	if err != nil {
		t.Fatal(err)
	}
	for service, key := range map[string]string{identity.Admin: "admin.tls.certFile", identity.Worker: "worker.notify.passwordFile", identity.Vault: "vault.databaseFile"} {
		var out strings.Builder
		s.Explain(&out, service)
		if want := key + ": " + missing + " cannot be read here"; strings.Count(out.String(), missing) != 1 || !strings.Contains(out.String(), want) {
			t.Errorf("%s lacks %s:\n%s", service, want, out.String())
		}
	}
}

func TestValuesThatAreMeant(t *testing.T) {
	t.Parallel()
	for _, set := range []string{
		"admin.allowedOrigins=['*']", "admin.allowedOrigins=['https://mail.example.com', 'http://localhost:3000', 'https://*.example.com', 'capacitor://localhost', 'https://[::1]:8443', 'HTTPS://Mail.Example.Com']",
		"push.allowedClients=['*', 'open-xchange-*', 'a:b.c_d']",
		"worker.listen=127.0.0.1:0", "worker.listen=localhost:mailpush", "worker.listen=[::1]:8104", "worker.advertise=Worker-1.Example.COM.:8104",
		"cluster.etcd.endpoints=['https://Etcd-1.example.com:2379', 'http://[::1]:2379', 'unix:///run/etcd.sock']",
		"mail.stores={m: {address: 'my_host.internal:imaps', serverName: imap.example.com, idleRefresh: 9m, pollInterval: 0}}",
	} {
		key, _, _ := strings.Cut(set, "=")
		if said := validate(t, "", nil, []string{set}); strings.Contains(said, key+"[") || strings.Contains(said, key+".") || strings.Contains(said, key+":") {
			t.Errorf("%s: %s", set, said)
		}
	}
}
