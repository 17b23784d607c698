// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"strings"
	"testing"
)

// refusedValues are values that make no sense, each with what is said of them.
var refusedValues = map[string]struct{ values, want string }{
	"a misspelt value":         {`{worker: {replica: 2}}`, "replica"},
	"a misspelt switch":        {`{packages: {status: {push-dovecot: enable}}}`, "push-dovecot"},
	"an unknown package":       {`{packages: {status: {push-imap: enabled}}}`, "push-imap"},
	"no package":               {`{packages: {status: {push-imapidle: disabled}}}`, "every package is disabled"},
	"a store without workers":  {`{mail: {stores: {dove: {address: "d:993", backend: dovecot}}}}`, "push-dovecot"},
	"no mail store":            {`{mail: {stores: {main: null}}}`, "stores"},
	"a store with a typo":      {`{mail: {stores: {main: {adress: "d:993"}}}}`, "adress"},
	"a secret in place":        {`{extraSettings: {push: {credstorage: {passcrypt: secret}}}}`, "push.credstorage.passcrypt"},
	"a database in place":      {`{extraSettings: {admin: {database: "postgres://u:p@h/d"}}}`, "admin.database"},
	"a key in place":           {`{extraSettings: {mail: {stores: {main: {doveadm: {apiKey: secret}}}}}}`, "doveadm.apiKey"},
	"a password in a URL":      {`{admin: {database: {url: "postgres://u:secret@h/d"}}}`, "$(PASSWORD)"},
	"a password of nowhere":    {`{vault: {database: {url: "mysql://u:$(PASSWORD)@h/d"}}}`, "vault.database.password"},
	"vaults in memory":         {`{push: {credstorage: {rdb: false}}, vault: {replicas: 2}}`, "vault.replicas"},
	"no master user":           {`{mail: {passwordSource: global}}`, "mail.masterUser"},
	"no time to drain":         {`{worker: {preStopSeconds: 50}}`, "worker.terminationGracePeriodSeconds"},
	"notified in clear text":   {`{packages: {status: {push-dovecot: enabled}}, worker: {notify: {tls: {enabled: false}}}}`, "worker.notify.tls"},
	"notified by anybody":      {`{packages: {status: {push-dovecot: enabled}}, worker: {notify: {username: ""}}}`, "nobody else may notify"},
	"certificates without TLS": {`{packages: {status: {push-dovecot: enabled}}, worker: {notify: {allowHTTP: true, tls: {enabled: false}, clientCA: {existingSecret: ca}}}}`, "worker.notify.clientCA"},
	"datagrams of nobody":      {`{packages: {status: {push-mailnotify: enabled}}, worker: {mailnotify: {allow: []}}}`, "worker.mailnotify.allow"},
	"an ingress to nowhere":    {`{admin: {ingress: {enabled: true}}}`, "hosts"},
	"a zone twice":             {`{worker: {zones: [a, a]}}`, "zones"},
	"a bad hash":               {`{admin: {administrators: [{name: admin, passwordHash: secret}]}}`, "passwordHash"},
	"a rule for a URL":         {`{push: {webhook: {rules: [{origin: "https://h.example/path"}]}}}`, "origin"},
	"a rule with a file":       {`{push: {webhook: {rules: [{origin: "https://h.example", caFile: /ca.pem}]}}}`, "caFile"},
	"no replica":               {`{scheduler: {replicas: 0}}`, "replicas"},
}

// testRefusedValues expects such values to be refused before anything is installed, and
// without a secret in the message.
func testRefusedValues(t *testing.T, tools tools) {
	t.Helper()
	for name, refused := range refusedValues {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found := strings.Join(tools.check(t, chart, parseValues(t, refused.values)), "\n")
			if !strings.Contains(found, "helm template") || !strings.Contains(found, refused.want) {
				t.Errorf("want helm template to say %q, found:\n%s", refused.want, found)
			}
		})
	}
}

// Services read their settings once: whatever changes them must start every pod anew, and
// nothing else may.
func TestOtherSettingsStartPodsAnew(t *testing.T) {
	t.Parallel()
	was := checksums(t, `{}`)
	for _, values := range []string{
		`{push: {allowedClients: [a]}}`, `{push: {webhook: {rules: [{origin: "https://h.example", ca: {existingSecret: ca}}]}}}`, `{mail: {stores: {main: {address: "other:993"}}}}`, `{log: {level: debug}}`,
		`{packages: {status: {push-mailnotify: enabled}}}`, `{worker: {capacity: 5}}`, `{cluster: {etcd: {endpoints: ["http://e:1"]}}}`,
		`{admin: {applications: [{name: a, tokenHash: "0000000000000000000000000000000000000000000000000000000000000000", contexts: ["1"]}]}}`,
		`{extraSettings: {cluster: {leaseTTL: 6s}}}`, `{restartedFor: certificates}`,
	} {
		for name, now := range checksums(t, values) {
			if now == was[name] {
				t.Errorf("%s leaves the pods of %s as they were", values, name)
			}
		}
	}
	for _, values := range []string{`{worker: {replicas: 5}}`, `{admin: {service: {type: LoadBalancer}}}`, `{networkPolicy: {enabled: false}}`} {
		for name, now := range checksums(t, values) {
			if now != was[name] {
				t.Errorf("%s starts the pods of %s anew", values, name)
			}
		}
	}
}

// checksums are what tells pods of other settings apart, by Deployment.
func checksums(t *testing.T, values string) map[string]string {
	t.Helper()
	objects, err := render(chart, parseValues(t, values))
	if err != nil {
		t.Fatal(err)
	}
	var found findings
	sums := map[string]string{}
	for _, d := range read(objects, &found).deployments {
		annotations := d.Spec.Template.Annotations
		sums[d.Name] = annotations["checksum/config"] + annotations["mailpush/restarted-for"]
	}
	if len(sums) != len(components) {
		t.Fatalf("there are %d Deployments: %v", len(sums), found)
	}
	return sums
}
