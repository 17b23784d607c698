// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"mailpush.internal/cmd/internal/allinone"
	"mailpush.internal/cmd/internal/config"
)

func runCommand() *cobra.Command {
	var dir, mailAddress, receiverAddress string
	var set []string
	command := &cobra.Command{
		Use:   "run",
		Short: "Run everything in one process, with a data directory that survives restarts",
		Long: `Run an embedded etcd and the four services on SQLite, with a demo mail store and a
demo webhook receiver that prints each push, and user 249@1 subscribed. What
mailpush knows is kept in the data directory: registrations, sealed credentials,
cursors, certificates, the administrator's password. Only the demo mail store is in
memory: after a restart its mailbox is a new one, and the webhook is told so by one
mailbox:reset.

Ctrl-C or SIGTERM stops it in order.`,
		Example: `  mailpush run
  mailpush run --data /var/lib/mailpush --set admin.listen=127.0.0.1:9080
  MAILPUSH_ADMIN_PASSWORD=$(cat data/admin-password) pushusers`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s := demoSettings()
			if _, err := config.Load(s, config.Source{Env: os.Environ(), Set: set}); err != nil {
				return err
			}
			return run(cmd.Context(), cmd.OutOrStdout(), stageOptions{
				dir: dir, settings: s, log: s.Log.Logger(), mailAddress: mailAddress, receiverAddress: receiverAddress,
			})
		},
	}
	command.Flags().StringVar(&dir, "data", "data", "the data directory")
	command.Flags().StringVar(&mailAddress, "demo-mail", "127.0.0.1:8143", "address of the demo mail store")
	command.Flags().StringVar(&receiverAddress, "demo-webhook", "127.0.0.1:8190", "address of the demo webhook receiver")
	command.Flags().StringArrayVar(&set, "set", nil, "one setting as KEY=VALUE, e.g. push.allowedClients=[a,b]")
	return command
}

func run(ctx context.Context, stdout io.Writer, o stageOptions) error {
	var err error
	if o.password, err = allinone.Keep(o.dir, "demo-mail-password", randomWord); err != nil {
		return err
	}
	webhookSecret, err := allinone.Keep(o.dir, "demo-webhook-secret", newWebhookSecret)
	if err != nil {
		return err
	}
	// Its own context: the stage must stop when a later step fails, too.
	staged, stop := context.WithCancel(ctx)
	defer stop()
	on, err := newStage(staged, o)
	if err != nil {
		return err
	}
	if _, err := on.subscribe(ctx, webhookSecret); err != nil {
		stop()
		return errors.Join(err, on.close())
	}
	on.greet(stdout, o.dir)
	err = on.showPushes(ctx, stdout, webhookSecret)
	stop()
	return errors.Join(err, on.close())
}

// showPushes prints each push until ctx ends; only an end by itself is an error.
func (s *stage) showPushes(ctx context.Context, stdout io.Writer, webhookSecret string) error {
	for {
		select {
		case got := <-s.receiver.pushes:
			if err := errors.Join(verify(got, webhookSecret), showPush(stdout, got)); err != nil {
				fmt.Fprintln(stdout, err)
			}
		case err := <-s.ended:
			s.ended <- err
			return errors.New("mailpush has stopped")
		case <-ctx.Done():
			return nil
		}
	}
}

func (s *stage) greet(stdout io.Writer, dir string) {
	effective := s.node.Settings()
	password := "as generated at the first start, in " + filepath.Join(dir, allinone.AdminPasswordName)
	if s.node.AdminPasswordFresh {
		password = s.node.AdminPassword.Reveal() + "  (generated once, kept in " + filepath.Join(dir, allinone.AdminPasswordName) + ")"
	}
	lines := []string{
		"mailpush is running; Ctrl-C stops it.",
		"  public API             " + s.api.url,
		"  admin user             " + allinone.AdminName,
		"  admin password         " + password,
		"  health and metrics     http://" + effective.Admin.OpsListen + " (admin-api), http://" + effective.Vault.OpsListen +
			" (vault), http://" + effective.Scheduler.OpsListen + " (scheduler), http://" + effective.Worker.OpsListen + " (worker)",
		"  demo mail store        imap://" + s.mail.Addr() + ", user " + demoLogin + ", password in " + filepath.Join(dir, "demo-mail-password"),
		"  demo webhook receiver  " + s.receiver.url,
		"  subscribed             " + demoUser + "@" + demoContext,
		"",
		"Deliver a mail, and see its push here:",
		"  curl -sS --user \"" + demoLogin + ":$(cat " + filepath.Join(dir, "demo-mail-password") + ")\" -H 'From: zoe@example.org' -H 'Subject: Hello' -F '=Hi' imap://" + s.mail.Addr() + "/INBOX",
		"List the push users:",
		"  bin/pushusers --adminuser " + allinone.AdminName + " --adminpass-file " + filepath.Join(dir, allinone.AdminPasswordName) +
			" --port " + portOf(effective.Admin.Listen),
	}
	fmt.Fprintln(stdout, strings.Join(lines, "\n"))
}

func portOf(address string) string { return address[strings.LastIndexByte(address, ':')+1:] }
