// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"text/template"

	"mailpush.internal/pkg/cluster/embedded"
	"mailpush.internal/pkg/dovecottest"
	"mailpush.internal/pkg/identity"
	"mailpush.internal/pkg/proctest"
	"mailpush.internal/pkg/sqltest"
	"mailpush.internal/trials/internal/rig"
)

const (
	clusterName = "chaos"
	storeName   = "main"
	password    = "a mailbox's password"
	adminName   = "admin"

	// reconcileFast and reconcileHardly are of how many mailboxes a second all workers ask
	// where they end, in case that notifications were lost: with the one a lost one is found
	// in seconds, with the other hardly before the run ends.
	reconcileFast   = 100
	reconcileHardly = 1
)

// configuration is the one file of the cluster. The lease is short for shards to be
// taken over often.
const configuration = `
cluster: {name: chaos, etcd: {endpoints: ["{{.Etcd}}"]}, shards: 64, leaseTTL: 3s}
identity: {dir: {{.Dir}}/tls}
push:
  credstorage: {enabled: true, rdb: true, passcryptFile: {{.Dir}}/passcrypt}
  webhook: {allowHTTP: true, allowPrivate: [127.0.0.0/8]}
imapidle: {supportsPermanentListeners: true}
mail:
  stores:
{{- if .Reconcile}}
    main:
      backend: dovecot
      doveadm: {url: "{{.Doveadm}}", apiKeyFile: {{.Dir}}/doveadm-key}
      reconcilePerSecond: {{.Reconcile}}
{{- else}}
    main: {address: "{{.IMAP}}", tls: implicit, caFile: {{.Dir}}/mail-ca.crt, serverName: localhost}
{{- end}}
admin:
  listen: {{index .Addr 0}}
  internalListen: {{index .Addr 1}}
  opsListen: {{index .Addr 2}}
  databaseFile: {{.Dir}}/registry-database
  administrators: [{name: {{.Admin}}, passwordHash: "{{.PasswordHash}}"}]
  applications: [{name: chaos, tokenHash: "{{.TokenHash}}", contexts: ["1"]}]
vault: {listen: "{{index .Addr 3}}", opsListen: "{{index .Addr 4}}", databaseFile: {{.Dir}}/vault-database}
scheduler: {name: scheduler, listen: "{{index .Addr 5}}", opsListen: "127.0.0.1:0"}
worker:
  listen: "127.0.0.1:0"
  opsListen: "127.0.0.1:0"
{{- if .Reconcile}}
  backends: [dovecot]
  notify: {username: dove, passwordFile: {{.Dir}}/notify-password}
{{- end}}
`

// addresses are how many the configuration fixes, without those where workers are notified.
// Their host is one that connections do not come from: a port must still be free when its
// process comes back.
const (
	addresses     = 6
	addressesHost = "127.0.0.2"
)

// deployment is what a run leaves alone, and what its processes are started with.
type deployment struct {
	dir, config string
	programs    rig.Programs
	public      string // where admin-api listens to applications
	token       string
	password    string   // of the administrator
	environment []string // of the processes; nil: that of this one
	// notified is where workers are told of new mail, one address each; without, they wait
	// for it in IDLE.
	notified []string
	// notifications come from Dovecot; nil without.
	notifications  *notifications
	notifyPassword string
	reconcile      int // mailboxes a second; 0 without notifications

	dovecotDir string
	dovecot    *dovecottest.Server
	postgres   *sqltest.Server
	etcd       *embedded.Server
}

// deploy starts the servers around mailpush and writes its configuration.
func deploy(ctx context.Context, o Options) (_ *deployment, err error) {
	d := &deployment{dir: o.Dir, programs: o.Programs, notifyPassword: rand.Text()}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.close())
		}
	}()
	if d.postgres, err = sqltest.NewPostgres(""); err != nil {
		return nil, err
	}
	// In a place of its own: its users must be able to pass through.
	if d.dovecotDir, err = os.MkdirTemp("", "dovecot-"); err != nil {
		return nil, err
	}
	if err := d.startDovecot(ctx, o); err != nil {
		return nil, err
	}
	d.etcd, err = embedded.Start(ctx, embedded.Config{Dir: filepath.Join(d.dir, "etcd"), ClientListen: "http://127.0.0.1:0"})
	if err != nil {
		return nil, err
	}
	if err := d.write(ctx); err != nil {
		return nil, err
	}
	return d, nil
}

// startDovecot starts the mail store and, where that is wanted, has it tell of new mail.
func (d *deployment) startDovecot(ctx context.Context, o Options) (err error) {
	var options dovecottest.Options
	if o.Notified {
		d.reconcile = reconcileFast
		if o.HintsAlone {
			d.reconcile = reconcileHardly
		}
		if d.notifications, err = newNotifications(ctx, newFates(o.NotifyOdds, o.Seed)); err != nil {
			return err
		}
		options.NotifyURL = d.notifications.url(d.notifyPassword)
	}
	d.dovecot, err = dovecottest.NewWith(d.dovecotDir, options)
	return err
}

// write writes what the processes read.
func (d *deployment) write(ctx context.Context) error {
	authority, err := identity.OpenAuthority(filepath.Join(d.dir, "authority"), clusterName)
	if err != nil {
		return err
	}
	for _, name := range identity.Services() {
		if _, err := authority.Write(name, filepath.Join(d.dir, "tls")); err != nil {
			return err
		}
	}
	files := map[string]string{
		"passcrypt": rand.Text() + "\n", "mail-ca.crt": string(d.dovecot.CA()),
		"doveadm-key": d.dovecot.DoveadmKey().Reveal(), "notify-password": d.notifyPassword,
	}
	for _, name := range []string{"registry-database", "vault-database"} {
		address, _, err := d.postgres.NewDatabase(ctx)
		if err != nil {
			return err
		}
		files[name] = address.Reveal() + "\n"
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(d.dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return d.writeConfiguration(ctx)
}

func (d *deployment) writeConfiguration(ctx context.Context) error {
	free, err := proctest.FreeAddresses(ctx, addressesHost, addresses+workers)
	if err != nil {
		return err
	}
	if d.notifications != nil {
		d.notified = free[addresses:]
		if err := d.notifications.serve(ctx, d.notified); err != nil {
			return err
		}
	}
	var tokenHash string
	if d.token, tokenHash, err = d.programs.NewToken(ctx); err != nil {
		return err
	}
	d.password = rand.Text()
	passwordHash, err := d.programs.HashPassword(ctx, d.password)
	if err != nil {
		return err
	}
	d.public = free[0]
	d.config = filepath.Join(d.dir, "mailpush.yaml")
	text, err := template.New("mailpush.yaml").Parse(configuration)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(d.config, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	err = text.Execute(file, map[string]any{
		"Dir": d.dir, "Etcd": d.etcd.Endpoints()[0], "IMAP": d.dovecot.TLSAddr(),
		"Doveadm": d.dovecot.DoveadmURL(), "Reconcile": d.reconcile,
		"Admin": adminName, "Addr": free, "TokenHash": tokenHash, "PasswordHash": passwordHash,
	})
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("writing the configuration: %w", err)
	}
	return nil
}

// close ends the servers, in any state.
func (d *deployment) close() error {
	var errs []error
	if d.etcd != nil {
		d.etcd.Close()
	}
	if d.dovecot != nil {
		errs = append(errs, d.dovecot.Stop())
	}
	if d.notifications != nil {
		errs = append(errs, d.notifications.close())
	}
	if d.dovecotDir != "" {
		errs = append(errs, os.RemoveAll(d.dovecotDir))
	}
	if d.postgres != nil {
		errs = append(errs, d.postgres.Stop())
	}
	return errors.Join(errs...)
}
