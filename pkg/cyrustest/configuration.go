// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package cyrustest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"text/template"
)

// configure writes the configuration of the server and of its services.
func (s *Server) configure(class Class) error {
	given := map[string]any{"Dir": s.dir, "Name": s.name(), "IMAP": s.imap, "Account": s.account, "Class": class}
	return errors.Join(s.write("imapd.conf", imapdTemplate, given), s.write("cyrus.conf", cyrusTemplate, given))
}

func (s *Server) write(name, text string, given map[string]any) error {
	parsed, err := template.New(name).Parse(text)
	if err != nil {
		return fmt.Errorf("parsing %s: %w", name, err)
	}
	var out bytes.Buffer
	if err := parsed.Execute(&out, given); err != nil {
		return fmt.Errorf("filling %s: %w", name, err)
	}
	return os.WriteFile(s.path(name), out.Bytes(), 0o644) //nolint:gosec // Cyrus runs as another user
}

// imapdTemplate takes every password: who logs in is not what is tested. Cyrus sends its
// datagrams to notifysocket itself; its own notifyd, which would listen there, does not run.
const imapdTemplate = `
configdirectory: {{.Dir}}/config
lmtpsocket: {{.Dir}}/run/lmtp
idlesocket: {{.Dir}}/run/idle
notifysocket: {{.Dir}}/run/notify
tls_sessions_db_path: {{.Dir}}/config/tls.db
sievedir: {{.Dir}}/sieve
defaultpartition: default
partition-default: {{.Dir}}/spool
servername: {{.Name}}
cyrus_user: {{.Account}}
admins: cyrus
virtdomains: userid
unixhierarchysep: yes
altnamespace: yes
allowplaintext: yes
sasl_pwcheck_method: alwaystrue
sasl_mech_list: PLAIN
sasl_auto_transition: no
{{.Class}}: ox
`

const cyrusTemplate = `
START {
  recover cmd="/usr/lib/cyrus/bin/ctl_cyrusdb -C {{.Dir}}/imapd.conf -r"
}
SERVICES {
  lmtpunix cmd="/usr/lib/cyrus/bin/lmtpd -a -C {{.Dir}}/imapd.conf" listen="{{.Dir}}/run/lmtp" prefork=0 maxchild=5
  imap cmd="/usr/lib/cyrus/bin/imapd -C {{.Dir}}/imapd.conf" listen="{{.IMAP}}" prefork=0 maxchild=20
}
`
