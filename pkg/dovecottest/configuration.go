// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package dovecottest

import (
	"bytes"
	"fmt"
	"net"
	"text/template"
)

// configuration is as small as it can be, the same for root and for others. As mailboxes may each have a system user of their own, no process
// serves a second session (service_count = 1); and no service is in a chroot,
// which only root could make.
func (s *Server) configuration() ([]byte, error) {
	_, imap, err := net.SplitHostPort(s.imap)
	if err != nil {
		return nil, err
	}
	_, imaps, err := net.SplitHostPort(s.imaps)
	if err != nil {
		return nil, err
	}
	_, doveadm, err := net.SplitHostPort(s.doveadm)
	if err != nil {
		return nil, err
	}
	text, err := template.New("dovecot.conf").Parse(s.program.configuration)
	if err != nil {
		return nil, fmt.Errorf("parsing the configuration: %w", err)
	}
	var out bytes.Buffer
	err = text.Execute(&out, map[string]any{
		"Dir": s.dir, "IMAP": imap, "IMAPS": imaps, "Owner": s.owner, "Options": s.options,
		"Doveadm": doveadm, "Key": s.key.Reveal(), "Processes": doveadmProcesses,
	})
	return out.Bytes(), err
}

// doveadmProcesses bounds the requests to doveadm that are served at once; each has a
// process of its own.
const doveadmProcesses = 8

// configuration23 is in the language of Dovecot 2.3.
const configuration23 = `
base_dir = {{.Dir}}/run
state_dir = {{.Dir}}/state
instance_name = mailpush-test
default_internal_user = {{.Owner.Internal}}
default_internal_group = {{.Owner.Group}}
default_login_user = {{.Owner.Login}}
login_greeting = {{.Dir}} ready
log_path = {{.Dir}}/log/dovecot.log
log_timestamp = "%Y-%m-%d %H:%M:%S.%{usecs} "
protocols = imap lmtp
listen = 127.0.0.1
ssl = yes
ssl_cert = <{{.Dir}}/etc/cert.pem
ssl_key = <{{.Dir}}/etc/key.pem

auth_mechanisms = plain login
auth_cache_size = 0
auth_failure_delay = 0
auth_verbose = yes
auth_master_user_separator = *
disable_plaintext_auth = no
first_valid_uid = 1

mail_location = maildir:~/Maildir
mail_fsync = never
mail_max_userip_connections = 100
maildir_stat_dirs = yes

{{if not .Options.NoMetadata}}
mail_attribute_dict = file:%h/dovecot-attributes
protocol imap {
  imap_metadata = yes
}
{{end}}
{{with .Options.NotifyURL}}
mail_plugins = $mail_plugins notify push_notification
plugin {
  push_notification_driver = ox:url={{.}} user_from_metadata cache_lifetime=10s timeout_msecs=300 max_retries=0
}
{{end}}
passdb {
  driver = passwd-file
  master = yes
  args = scheme=plain username_format=%u {{.Dir}}/etc/masters/%u
}
passdb {
  driver = passwd-file
  args = scheme=plain username_format=%u {{.Dir}}/etc/users/%u
}
userdb {
  driver = passwd-file
  args = username_format=%u {{.Dir}}/etc/users/%u
}
namespace inbox {
  inbox = yes
  separator = /
}
service imap-login {
  chroot =
  inet_listener imap {
    port = {{.IMAP}}
  }
  inet_listener imaps {
    port = {{.IMAPS}}
    ssl = yes
  }
  service_count = 0
  process_limit = 2
  client_limit = 4000
}
service imap {
  process_limit = 4000
  client_limit = 1
  service_count = 1
}
service lmtp {
  unix_listener lmtp {
    mode = 0666
  }
  process_limit = 20
}
service doveadm {
  chroot =
  inet_listener http {
    port = {{.Doveadm}}
  }
  service_count = 100
  client_limit = 1
  process_min_avail = 2
  process_limit = {{.Processes}}
}
doveadm_api_key = {{.Key}}
service auth {
  client_limit = 9000
}
service anvil {
  chroot =
  client_limit = 9000
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
service stats {
  client_limit = 9000
  unix_listener stats-writer {
    mode = 0666
  }
}
`
