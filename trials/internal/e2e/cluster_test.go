// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"text/template"

	"mailpush.internal/pkg/cluster/embedded"
	"mailpush.internal/pkg/dovecottest"
	"mailpush.internal/pkg/proctest"
	"mailpush.internal/pkg/sqltest"
	"mailpush.internal/trials/internal/rig"
)

const (
	adminPassword = "an administrator's password"
	// mailPassword must be found nowhere but in Dovecot's own files.
	mailPassword = "mail-password-to-grep-for"
)

var configTemplate = template.Must(template.New("config").Parse(`
cluster: {name: e2e, etcd: {endpoints: [{{.Etcd}}]}, shards: 64, leaseTTL: 2s}
identity: {dir: {{.Dir}}/tls}
push:
  credstorage: {enabled: true, rdb: true, passcryptFile: {{.Dir}}/passcrypt}
  webhook: {allowHTTP: true, allowPrivate: [127.0.0.0/8]}
imapidle: {supportsPermanentListeners: true}
mail:
  stores:
    main: {address: "{{.IMAP}}", tls: implicit, caFile: {{.Dir}}/mail-ca.crt, serverName: localhost}
admin:
  listen: {{index .Addr 0}}
  internalListen: {{index .Addr 1}}
  opsListen: {{index .Addr 2}}
  databaseFile: {{.Dir}}/registry-database
  administrators: [{name: admin, passwordHash: "{{.Hash}}"}]
vault: {listen: "{{index .Addr 3}}", opsListen: "{{index .Addr 4}}", databaseFile: {{.Dir}}/vault-database}
scheduler: {address: ["{{index .Addr 5}}", "{{index .Addr 6}}"]}
`))

// deployment is a mailpush of six processes: two schedulers, two workers, one
// vault, one admin-api.
type deployment struct {
	programs    rig.Programs
	dir, config string
	addr        []string
	dovecot     *dovecottest.Server
	postgres    *sqltest.Server

	vault, admin        *proctest.Process
	schedulers, workers []*proctest.Process
}

// The addresses of a deployment by their place in addr.
const (
	addrPublic = iota
	addrInternal
	addrAdminOps
	addrVault
	addrVaultOps
	addrScheduler1
	addrScheduler2
	addrSchedulerOps1
	addrSchedulerOps2
	addrWorker1
	addrWorker2
	addrWorkerOps1
	addrWorkerOps2
	addrCount
)

func deploy(t *testing.T) *deployment {
	t.Helper()
	d := &deployment{programs: build(t), dir: t.TempDir()}
	var err error
	if d.addr, err = proctest.FreeAddresses(t.Context(), "127.0.0.2", addrCount); err != nil {
		t.Fatal(err)
	}
	d.dovecot = dovecottest.Start(t)
	etcd, err := embedded.Start(t.Context(), embedded.Config{Dir: filepath.Join(d.dir, "etcd"), ClientListen: "http://127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { etcd.Close() })
	d.writeFiles(t, etcd.Endpoints()[0])
	d.startAll(t)
	return d
}

func (d *deployment) writeFiles(t *testing.T, etcd string) {
	t.Helper()
	if out, errs, code := run(t, d.programs, "mailpush", "", "certs", "--out", filepath.Join(d.dir, "tls"), "--cluster", "e2e"); code != 0 {
		t.Fatalf("mailpush certs: exit code %d\n%s%s", code, out, errs)
	}
	hash, errs, code := run(t, d.programs, "mailpush", adminPassword, "hash-password")
	if code != 0 {
		t.Fatalf("mailpush hash-password: exit code %d\n%s", code, errs)
	}
	d.write(t, "passcrypt", "a passphrase for the end-to-end test\n")
	d.write(t, "admin-password", adminPassword+"\n")
	d.write(t, "mail-ca.crt", string(d.dovecot.CA()))
	d.writeDatabases(t)
	var config bytes.Buffer
	if err := configTemplate.Execute(&config, map[string]any{
		"Dir": d.dir, "Etcd": etcd, "IMAP": d.dovecot.TLSAddr(), "Addr": d.addr, "Hash": strings.TrimSpace(hash),
	}); err != nil {
		t.Fatal(err)
	}
	d.config = d.write(t, "mailpush.yaml", config.String())
}

// writeDatabases starts one PostgreSQL, in which the script of deployments/compose
// makes a database and a role for each service that has one.
func (d *deployment) writeDatabases(t *testing.T) {
	t.Helper()
	postgres, err := sqltest.NewPostgres("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := postgres.Stop(); err != nil {
			t.Error(err)
		}
	})
	d.postgres = postgres
	superuser, _, err := postgres.NewDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	root, err := rig.Root(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile(filepath.Join(root, "deployments", "compose", "databases.sql"))
	if err != nil {
		t.Fatal(err)
	}
	dsn, err := url.Parse(superuser.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"registry", "vault"} {
		password := rand.Text()
		d.write(t, name+"-password", password+"\n")
		dsn.User, dsn.Path = url.UserPassword(name, password), "/"+name
		d.write(t, name+"-database", dsn.String()+"\n")
	}
	file := d.write(t, "databases.sql", strings.ReplaceAll(string(script), "/run/secrets/", d.dir+"/"))
	if out, err := psql(t, superuser.Reveal(), "-v", "ON_ERROR_STOP=1", "-f", file); err != nil {
		t.Fatalf("making the databases: %v\n%s", err, out)
	}
	d.expectOwnDatabases(t)
}

// expectOwnDatabases expects that neither role can look into another's database.
func (d *deployment) expectOwnDatabases(t *testing.T) {
	t.Helper()
	for name, others := range map[string][]string{"registry": {"vault", "postgres"}, "vault": {"registry", "postgres"}} {
		dsn, err := url.Parse(d.read(t, name+"-database"))
		if err != nil {
			t.Fatal(err)
		}
		for _, other := range others {
			dsn.Path = "/" + other
			if out, err := psql(t, dsn.String(), "-c", "SELECT 1"); err == nil || !strings.Contains(out, "permission denied for database") {
				t.Errorf("the role %s in the database %s: %v\n%s", name, other, err, out)
			}
		}
	}
}

// psql runs PostgreSQL's own client.
func psql(t *testing.T, dsn string, args ...string) (string, error) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "psql", append([]string{"--no-psqlrc", "-At", "-d", dsn}, args...)...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// read returns the one line of a file that write has written.
func (d *deployment) read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(d.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

func (d *deployment) write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(d.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func (d *deployment) startAll(t *testing.T) {
	t.Helper()
	d.vault = start(t, d.programs, "credential-vault", "credential-vault", "--config", d.config)
	d.admin = start(t, d.programs, "admin-api", "admin-api", "--config", d.config)
	for i := range 2 {
		d.schedulers = append(d.schedulers, start(t, d.programs, "scheduler", fmt.Sprintf("scheduler-%d", i+1), "--config", d.config,
			"--set", fmt.Sprintf("scheduler.name=scheduler-%d", i+1),
			"--set", "scheduler.listen="+d.addr[addrScheduler1+i], "--set", "scheduler.opsListen="+d.addr[addrSchedulerOps1+i]))
		d.workers = append(d.workers, start(t, d.programs, "listener-worker", fmt.Sprintf("worker-%d", i+1), "--config", d.config,
			"--set", "worker.listen="+d.addr[addrWorker1+i], "--set", "worker.opsListen="+d.addr[addrWorkerOps1+i]))
	}
	for _, at := range []int{addrVaultOps, addrAdminOps, addrSchedulerOps1, addrSchedulerOps2, addrWorkerOps1, addrWorkerOps2} {
		await(t, "readiness at "+d.addr[at], startTimeout, rig.Ready(d.addr[at]))
	}
}

// call posts JSON to the public API as curl would.
func (d *deployment) call(ctx context.Context, procedure, password, request string, answer any) (int, error) {
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+d.addr[addrPublic]+"/"+procedure, strings.NewReader(request))
	if err != nil {
		return 0, err
	}
	post.Header.Set("Content-Type", "application/json")
	if password != "" {
		post.SetBasicAuth("admin", password)
	}
	response, err := http.DefaultClient.Do(post)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return response.StatusCode, fmt.Errorf("reading %s: %w", text, err)
	}
	return response.StatusCode, nil
}

// pushUsers runs the real command and returns its table.
func (d *deployment) pushUsers(t *testing.T, args ...string) (stdout string, code int) {
	t.Helper()
	host, port, _ := strings.Cut(d.addr[addrPublic], ":")
	args = append([]string{"--server", host, "--port", port, "--adminuser", "admin",
		"--adminpass-file", filepath.Join(d.dir, "admin-password")}, args...)
	stdout, stderr, code := run(t, d.programs, "pushusers", "", args...)
	if code != 0 {
		t.Logf("pushusers %v: exit code %d: %s", args, code, stderr)
	}
	return stdout, code
}
