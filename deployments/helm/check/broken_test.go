// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// brokenCharts are charts that somebody could make of ours, each with what is said of it.
var brokenCharts = map[string]struct {
	values   string // of testdata/values; none at all where empty
	file     string
	old, new string
	want     string
}{
	"no version":             {"", "Chart.yaml", "version: 0.1.0", "version: newest", "helm lint"},
	"a template ends early":  {"", "templates/scheduler.yaml", "}}\n---", "\n---", "helm lint"},
	"a schema that is none":  {"", "values.schema.json", `"type": "object"`, `"type": "objekt"`, "helm template"},
	"an unknown field":       {"", "templates/_deployment.tpl", "automountServiceAccountToken", "automountServiceAcountToken", "deployment"},
	"a text for a number":    {"", "templates/_deployment.tpl", "replicas: {{ int64 .values.replicas }}", "replicas: two", "replicas"},
	"an unknown kind":        {"", "templates/_deployment.tpl", "kind: PodDisruptionBudget", "kind: PodDisruption", "could not find schema"},
	"a misspelt setting":     {"", "templates/_settings.tpl", "internalListen:", "internalListn:", "did you mean"},
	"a wrong setting":        {"", "templates/_settings.tpl", `"imapidle" $v.imapidle`, `"imapidle" (dict "supportsPermanentListeners" "sometimes")`, "--check"},
	"no address":             {"", "templates/listener-worker.yaml", "MAILPUSH_WORKER_ADVERTISE", "MAILPUSH_WORKER_ADVERTISES", "--check"},
	"another port":           {"", "templates/scheduler.yaml", `"ops" 8113`, `"ops" 8119`, "declares the ports"},
	"on loopback":            {"", "templates/_names.tpl", `"0.0.0.0"`, `"127.0.0.1"`, "nobody reaches that"},
	"no passphrase":          {"", "templates/_files.tpl", "path: passcrypt}", "path: passphrase}", "which no volume brings"},
	"a secret too many":      {"everything", "templates/_files.tpl", `{{- if ne $name "credential-vault" }}`, "{{- if true }}", "which it does not read"},
	"keys for all":           {"everything", "templates/_files.tpl", `"keys" (eq $name "listener-worker")`, `"keys" true`, "which it does not read"},
	"a certificate for all":  {"everything", "templates/_files.tpl", `{{- else if eq $name "credential-vault" }}`, `{{- else if eq $name "credential-vault" }}{{ include "mailpush.files.worker" $root }}`, "which it does not read"},
	"no key for a webhook":   {"everything", "templates/_files.tpl", `"path" (printf "%d/tls.key" $n)`, `"path" (printf "%d/key" $n)`, "which no volume brings"},
	"nowhere to":             {"", "templates/credential-vault.yaml", "targetPort: internal", "targetPort: intern", "which there is not"},
	"nobody there":           {"", "templates/_settings.tpl", `"name" "credential-vault" "port" 8102`, `"name" "vault" "port" 8102`, "no Service at"},
	"TCP for datagrams":      {"packages", "templates/listener-worker.yaml", `"protocol" "UDP"`, `"protocol" "TCP"`, "which there is not"},
	"a caller too many":      {"", "templates/networkpolicies.yaml", `"scheduler" (list "admin-api")`, `"scheduler" (list "admin-api" "listener-worker")`, "may reach the port internal"},
	"open metrics":           {"", "templates/networkpolicies.yaml", "[{port: internal, protocol: TCP}]", "[{port: internal, protocol: TCP}, {port: ops, protocol: TCP}]", "may reach the port ops"},
	"a closed way in":        {"packages", "templates/networkpolicies.yaml", `"port" "notify"`, `"port" "internal"`, "may reach the port"},
	"old settings":           {"", "templates/_deployment.tpl", `{{ include "mailpush.settings" .root | sha256sum }}`, "settings", "old settings"},
	"not ready to know":      {"packages", "templates/listener-worker.yaml", `"joins" $notified`, `"joins" ""`, "the probes ask"},
	"no time to drain":       {"", "templates/_deployment.tpl", "{{ int64 .values.terminationGracePeriodSeconds }}", "5", "no time to end"},
	"two at once":            {"minimal", "templates/credential-vault.yaml", `"alone" (not`, `"lonely" (not`, "make room"},
	"no room for an upgrade": {"everything", "templates/_deployment.tpl", "maxUnavailable: 1}", "maxUnavailable: 0}", "make room"},
	"a gap in an upgrade":    {"", "templates/_deployment.tpl", "maxUnavailable: 0}", "maxUnavailable: 1}", "make room"},
	"root":                   {"", "templates/_deployment.tpl", "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", "may do more"},
	"zones that overlap":     {"everything", "templates/_deployment.tpl", "      zone: {{ . | quote }}\n      {{- end }}\n  template:", "      {{- end }}\n  template:", "selects the pods of 2"},
	"another zone":           {"everything", "templates/listener-worker.yaml", `dict "value" $zone`, `dict "value" "elsewhere"`, "bound to the zone"},
	"away from others":       {"", "templates/_deployment.tpl", `$selector := include "mailpush.selector" (dict "root" .root "name" .name)`, `$selector := include "mailpush.selector" (dict "root" .root "name" "etcd")`, "than its own"},
	"a disabled package":     {"", "templates/_settings.tpl", "{{- if include \"mailpush.enabled\" (dict \"root\" $ \"backend\" $backend) }}\n  - {{ $backend }}", "{{- if true }}\n  - {{ $backend }}", "workers are capable of"},
	"a store of nobody":      {"switches", "templates/_names.tpl", "{{- $first -}}", "imapidle", "is not enabled"},
	"a switch left on":       {"", "templates/listener-worker.yaml", `{{- if $notified }}`, "{{- if true }}", "and its Service"},
	"other alerts":           {"everything", "files/alerts.yaml", "severity: critical", "severity: info", "other rules"},
	"nothing scraped":        {"everything", "templates/monitoring.yaml", "targetPort: ops", "targetPort: internal", "does not find every pod"},
	"a secret in place":      {"everything", "templates/_settings.tpl", "passwordFile: /etc/mailpush/notify/password", "password: dovecot", "a secret in place"},
}

// testBrokenCharts breaks the chart in each way, and expects that to be found.
func testBrokenCharts(t *testing.T, tools tools) {
	t.Helper()
	sets := valueSets(t)
	sets[""] = sets["default"]
	for name, broken := range brokenCharts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			values, known := sets[broken.values]
			if !known {
				t.Fatalf("there are no values %q", broken.values)
			}
			found := tools.check(t, breakChart(t, broken.file, broken.old, broken.new), values)
			if !strings.Contains(strings.Join(found, "\n"), broken.want) {
				t.Errorf("want %q to be said, found:\n%s", broken.want, strings.Join(found, "\n"))
			}
		})
	}
}

// breakChart copies the chart with one file changed.
func breakChart(t *testing.T, file, before, after string) string {
	t.Helper()
	to := t.TempDir()
	err := filepath.WalkDir(chart, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		inside, err := filepath.Rel(chart, name)
		if err != nil {
			return err
		}
		text, err := os.ReadFile(name) // follows a link
		if err != nil {
			return err
		}
		if filepath.ToSlash(inside) == file {
			if !strings.Contains(string(text), before) {
				t.Fatalf("%s has no %q", file, before)
			}
			text = []byte(strings.ReplaceAll(string(text), before, after))
		}
		if err := os.MkdirAll(filepath.Join(to, filepath.Dir(inside)), 0o750); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, inside), text, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	return to
}
