// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package dovecottest

// configuration24 says in the language of Dovecot 2.4 what configuration23 says. The time
// limit of an announcement is spelled out, for the driver of 2.4.0 to 2.4.3 has lost its own.
const configuration24 = `
dovecot_config_version = 2.4.0
dovecot_storage_version = 2.4.0
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
ssl_server_cert_file = {{.Dir}}/etc/cert.pem
ssl_server_key_file = {{.Dir}}/etc/key.pem
auth_mechanisms = plain login
auth_cache_size = 0
auth_failure_delay = 0
auth_verbose = yes
auth_master_user_separator = *
auth_allow_cleartext = yes
first_valid_uid = 1
mail_driver = maildir
mail_path = ~/Maildir
mail_fsync = never
mail_max_userip_connections = 100
maildir_stat_dirs = yes
{{if not .Options.NoMetadata}}
mail_attribute {
  dict file {
    path = %{home}/dovecot-attributes
  }
}
protocol imap {
  imap_metadata = yes
}
{{end}}
{{with .Options.NotifyURL}}
mail_plugins {
  notify = yes
  push_notification = yes
}
push_notification ox {
  driver = ox
  ox_url = {{.}}
  ox_user_from_metadata = yes
  ox_cache_ttl = 10s
  http_client_request_max_attempts = 1
  http_client_request_absolute_timeout = 300ms
}
{{end}}
passdb masters {
  driver = passwd-file
  master = yes
  default_password_scheme = plain
  passwd_file_path = {{.Dir}}/etc/masters/%{user}
}
passdb users {
  driver = passwd-file
  default_password_scheme = plain
  passwd_file_path = {{.Dir}}/etc/users/%{user}
}
userdb users {
  driver = passwd-file
  passwd_file_path = {{.Dir}}/etc/users/%{user}
}
namespace inbox {
  inbox = yes
  separator = /
}
service imap-login {
  chroot =
  restart_request_count = unlimited
  process_limit = 2
  client_limit = 4000
  inet_listener imap {
    port = {{.IMAP}}
  }
  inet_listener imaps {
    port = {{.IMAPS}}
    ssl = yes
  }
}
service imap {
  process_limit = 4000
  client_limit = 1
  restart_request_count = 1
}
service lmtp {
  process_limit = 20
  unix_listener lmtp {
    mode = 0666
  }
}
service doveadm {
  chroot =
  restart_request_count = 100
  client_limit = 1
  process_min_avail = 2
  process_limit = {{.Processes}}
  inet_listener http {
    port = {{.Doveadm}}
  }
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
