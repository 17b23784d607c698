// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"text/template"

	"github.com/spf13/cobra"

	"mailpush.internal/cmd/internal/settings"
)

func dovecotConfigCommand() *cobra.Command {
	var file, store, release, notify string
	command := &cobra.Command{
		Use:   "dovecot-config",
		Short: "Print what dovecot.conf needs so that Dovecot tells of new mail",
		Long: `Print the lines for dovecot.conf that go with a mail store of the backend dovecot:
METADATA, in which mailboxes are registered, the push_notification plugin, which
announces their mail to a worker, and the doveadm HTTP API, which workers read by.

Secrets are not printed: their places say which they are.`,
		Example: "  mailpush dovecot-config --config /etc/mailpush/mailpush.yaml > /etc/dovecot/conf.d/99-mailpush.conf",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := settings.Load(file, os.Environ(), nil)
			if err != nil {
				return err
			}
			return dovecotConfig(cmd.OutOrStdout(), s, store, release, notify)
		},
	}
	command.Flags().StringVarP(&file, "config", "c", "", "the configuration file; empty means none")
	command.Flags().StringVar(&store, "store", "", "the mail store, when several have the backend dovecot")
	command.Flags().StringVar(&release, "dovecot", "2.3", "for which Dovecot: 2.3 or 2.4")
	command.Flags().StringVar(&notify, "notify-url", "", "where Dovecot reaches worker.notify.listen, when that is not its address")
	return command
}

// notifyPath is where a worker takes notifications.
const notifyPath = "/preliminary/http-notify/v1/notify"

// dovecotConfig writes the configuration of a Dovecot.
func dovecotConfig(w io.Writer, s *settings.Settings, name, release, notify string) error {
	text := map[string]string{"2.3": dovecot23, "2.4": dovecot24}[release]
	if text == "" {
		return fmt.Errorf("--dovecot %s: want 2.3 or 2.4", release)
	}
	name, err := dovecotStore(s, name)
	if err != nil {
		return err
	}
	to, err := notifyURL(s.Worker.Notify, notify)
	if err != nil {
		return err
	}
	store := s.Mail.Stores[name]
	port := ""
	if api, err := url.Parse(store.Doveadm.URL); err == nil {
		port = api.Port()
	}
	parsed, err := template.New(release).Parse(text)
	if err != nil {
		return err
	}
	key := store.Doveadm.APIKeyFile
	if key == "" {
		key = "mail.stores." + name + ".doveadm.apiKey"
	}
	return parsed.Execute(w, map[string]any{
		"Store": name, "Notify": to, "Doveadm": store.Doveadm.URL != "", "Port": port, "Key": key, "Processes": dovecotProcesses,
		"TLS": strings.HasPrefix(store.Doveadm.URL, "https:"),
	})
}

// dovecotProcesses is room for the requests of many workers at once.
const dovecotProcesses = 32

// dovecotStore is the mail store that is meant.
func dovecotStore(s *settings.Settings, name string) (string, error) {
	var names []string
	for of, store := range s.Mail.Stores {
		if store.BackendOrDefault() == settings.BackendDovecot {
			names = append(names, of)
		}
	}
	slices.Sort(names)
	switch {
	case name != "" && !slices.Contains(names, name):
		return "", fmt.Errorf("--store %s: no such mail store with the backend dovecot; there are: %s", name, strings.Join(names, ", "))
	case name != "":
		return name, nil
	case len(names) == 0:
		return "", errors.New("no mail store has the backend dovecot: see mail.stores in the configuration")
	case len(names) > 1:
		return "", fmt.Errorf("several mail stores have the backend dovecot: name one by --store: %s", strings.Join(names, ", "))
	}
	return names[0], nil
}

// notifyURL is where Dovecot is to tell of new mail, with a place for the password.
func notifyURL(n settings.Notify, given string) (string, error) {
	if given == "" {
		if n.Listen == "" {
			return "", errors.New("worker.notify.listen is not set, so no worker can be told: set it, or say --notify-url")
		}
		given = "http://" + n.Listen
		if n.TLS.CertFile != "" {
			given = "https://" + n.Listen
		}
	}
	u, err := url.Parse(given)
	if err != nil || u.Host == "" {
		return "", fmt.Errorf("--notify-url: want http(s)://host:port")
	}
	if ip := net.ParseIP(u.Hostname()); ip != nil && ip.IsUnspecified() {
		return "", fmt.Errorf("worker.notify.listen %s is every address of a worker: say by --notify-url where Dovecot reaches it", n.Listen)
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = notifyPath
	}
	if n.Username == "" {
		return u.String(), nil
	}
	return u.Scheme + "://" + url.PathEscape(n.Username) + ":PASSWORD@" + u.Host + u.EscapedPath(), nil
}

const dovecot23 = `# For mail store "{{.Store}}" of mailpush, Dovecot 2.3. Packages: dovecot-imapd, dovecot-lmtpd.
# Mailboxes are registered in METADATA (RFC 5464).
mail_attribute_dict = file:%h/dovecot-attributes
protocol imap {
  imap_metadata = yes
}

# New mail of registered mailboxes is announced.{{if .Notify}} PASSWORD is worker.notify.passwordFile's.{{end}}
# Without the last two options a worker that hangs costs a sender 4 s a mail.
mail_plugins = $mail_plugins notify push_notification
plugin {
  push_notification_driver = ox:url={{.Notify}} user_from_metadata cache_lifetime=60s timeout_msecs=300 max_retries=0
}
{{- if .Doveadm}}

# Workers read by doveadm. A process serves many requests, one at a time; they may become
# many, for each worker has some out at once. KEY is the first line of
# {{.Key}}
service doveadm {
  inet_listener http {
    port = {{.Port}}
{{- if .TLS}}
    ssl = yes
{{- end}}
  }
  service_count = 100
  client_limit = 1
  process_min_avail = 2
  process_limit = {{.Processes}}
}
doveadm_api_key = KEY
{{- end}}
`

const dovecot24 = `# For mail store "{{.Store}}" of mailpush, Dovecot 2.4.4 or newer: 2.4.0 to 2.4.3 forget the
# time limits of announcements, and may crash in them.
# Mailboxes are registered in METADATA (RFC 5464).
mail_attribute {
  dict file {
    path = %{home}/dovecot-attributes
  }
}
imap_metadata = yes

# New mail of registered mailboxes is announced. PASSWORD is worker.notify.passwordFile's.
mail_plugins {
  notify = yes
  push_notification = yes
}
push_notification ox {
  ox_url = {{.Notify}}
  user_from_metadata = yes
  cache_ttl = 60secs
  http_client_request_absolute_timeout = 300ms
  http_client_request_max_attempts = 1
}
{{- if .Doveadm}}

# Workers read by doveadm. KEY is the first line of
# {{.Key}}
service doveadm {
  inet_listener http {
    port = {{.Port}}
{{- if .TLS}}
    ssl = yes
{{- end}}
  }
  restart_request_count = 100
  client_limit = 1
  process_min_avail = 2
  process_limit = {{.Processes}}
}
doveadm_api_key = KEY
{{- end}}
`
