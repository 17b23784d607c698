// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"mailpush.internal/pkg/identity"
	"mailpush.internal/pkg/proctest"
)

const (
	clusterName = "rig"
	adminName   = "admin"
)

// configuration is the one file of all processes; what a scheduler or a worker is told
// beside it is the way to etcd and its name.
const configuration = `
cluster: {name: rig, etcd: {endpoints: [{{.Etcd}}], prefix: {{.Prefix}}}}
identity: {dir: {{.Dir}}/tls}
push:
  credstorage: {enabled: true, rdb: true, passcryptFile: {{.Dir}}/passcrypt}
  webhook: {allowHTTP: true, allowPrivate: [127.0.0.0/8, '::1/128']}
imapidle: {supportsPermanentListeners: true}
mail:
  stores:
{{- range $name, $store := .Stores}}
    {{$name}}: {address: "{{$store.Address}}", {{if $store.CAFile}}tls: implicit, caFile: {{$store.CAFile}}, serverName: localhost{{else}}tls: none{{end}}
{{- if $store.ConnectsPerSecond}}, connectsPerSecond: {{$store.ConnectsPerSecond}}{{end}}
{{- if $store.IdleRefresh}}, idleRefresh: {{$store.IdleRefresh}}{{end}}
{{- if $store.Backend}}, backend: {{$store.Backend}}{{end}}
{{- if $store.DoveadmURL}}, doveadm: {url: "{{$store.DoveadmURL}}", apiKeyFile: {{$store.DoveadmKeyFile}}}{{end}}
{{- if $store.ReconcilePerSecond}}, reconcilePerSecond: {{$store.ReconcilePerSecond}}{{end}}}
{{- end}}
admin:
  listen: {{.Admin}}
  internalListen: {{.Registry}}
  opsListen: {{.AdminOps}}
  database: sqlite://{{.Dir}}/registry.db
  administrators: [{name: admin, passwordHash: "{{.PasswordHash}}"}]
vault: {listen: "{{.Vault}}", opsListen: "{{.VaultOps}}", database: "sqlite://{{.Dir}}/vault.db"}
scheduler: {name: scheduler, listen: "{{index .Schedulers 0}}", opsListen: "{{.SchedulerOps}}", address: [{{range .Schedulers}}"{{.}}", {{end}}]}
worker: {listen: "127.0.0.1:0", opsListen: "{{.WorkerOps}}"}
log: {level: warn, format: json}
`

// addresses are where everything is. Their host is one that connections do not come
// from: what was free stays free until it is bound.
type addresses struct {
	Admin, Registry, AdminOps, Vault, VaultOps, SchedulerOps, WorkerOps string

	// Schedulers are for two: others are not needed.
	Schedulers []string
}

func findAddresses(ctx context.Context) (addresses, error) {
	free, err := proctest.FreeAddresses(ctx, "127.0.0.2", 9)
	if err != nil {
		return addresses{}, err
	}
	return addresses{
		Admin: free[0], Registry: free[1], AdminOps: free[2], Vault: free[3], VaultOps: free[4],
		SchedulerOps: free[5], WorkerOps: free[6], Schedulers: free[7:],
	}, nil
}

// write writes what the processes read.
func (m *Mailpush) write(ctx context.Context, o Options) error {
	authority, err := identity.OpenAuthority(filepath.Join(m.dir, "authority"), clusterName)
	if err != nil {
		return err
	}
	for _, service := range identity.Services() {
		if _, err := authority.Write(service, filepath.Join(m.dir, "tls")); err != nil {
			return err
		}
	}
	hash, err := o.Programs.HashPassword(ctx, m.password)
	if err != nil {
		return err
	}
	parsed, err := template.New("mailpush.yaml").Parse(configuration)
	if err != nil {
		return err
	}
	var text strings.Builder
	if err := parsed.Execute(&text, struct {
		addresses
		Dir, Etcd, Prefix, PasswordHash string
		Stores                          map[string]Store
	}{m.at, m.dir, quoted(m.etcd), EtcdPrefix, hash, o.stores()}); err != nil {
		return err
	}
	for name, text := range map[string]string{"passcrypt": rand.Text() + "\n", "mailpush.yaml": text.String()} {
		if err := os.WriteFile(filepath.Join(m.dir, name), []byte(text), 0o600); err != nil {
			return fmt.Errorf("writing the configuration: %w", err)
		}
	}
	return nil
}

// quoted is a YAML list without its brackets.
func quoted(words []string) string { return `"` + strings.Join(words, `", "`) + `"` }
