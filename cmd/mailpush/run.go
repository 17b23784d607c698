// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"mailpush.internal/cmd/internal/allinone"
	"mailpush.internal/cmd/internal/program"
	"mailpush.internal/cmd/internal/settings"
	"mailpush.internal/cmd/internal/wire"
	"mailpush.internal/pkg/pushtest"
)

// The flags that only make sense for the demo.
const (
	demoMailFlag    = "demo-mail"
	demoWebhookFlag = "demo-webhook"
)

const aboutRun = `Run an embedded etcd and the four services on SQLite in one process. What mailpush
knows is kept in the data directory: registrations, sealed credentials, cursors,
certificates, the administrator's password.

With a mail store in its settings it serves the mailboxes of that store. The settings
are those of the services, from the same strict YAML file, the environment and --set,
flags winning over the environment and both over the file. Where they are silent,
users' passwords are sealed and kept (push.credstorage.enabled and .rdb are true),
permanent listeners are on (imapidle.supportsPermanentListeners), the passphrase is
made at the first start, and so is an administrator, admin, when none is named. The
rest is as "mailpush settings" shows it; webhooks must be https and public.

A file to begin with:

  mail:
    stores:
      main:
        address: imap.example.com:993

What one process decides by itself is refused when it is given: cluster.etcd,
identity, the databases, and the addresses under which services find each other
(admin.internalAddress, vault.address, scheduler.address, worker.advertise).

Without a mail store it is a demo: it brings a mail store, a webhook receiver that
prints each push, and user 249@1 subscribed; webhooks may be plain http and on loopback.
The demo's mail store is in memory: after a restart its mailbox is a new one, and the
webhook is told so by one mailbox:reset.

Back up the data directory as a whole, and keep it to yourself: the sealed passwords
and the passphrase that opens them are both in it, unless push.credstorage.passcryptFile
puts the passphrase elsewhere.

Ctrl-C or SIGTERM stops it in order. SIGUSR2 does, too, and starts it again in its place:
the address that mail stores notify stays open meanwhile. SIGHUP has the settings read
again, as does a change of the file or of one that it names.

A data directory is one process's. A start waits for some seconds for the process before it
to stop, and then says "data directory in use by PID".`

const runExamples = `  mailpush run
  mailpush run --config mailpush.yaml --check
  mailpush run --config mailpush.yaml --data /var/lib/mailpush
  mailpush run --set 'mail.stores={main: {address: imap.example.com:993}}'
  MAILPUSH_ADMIN_PASSWORD=$(cat data/admin-password) pushusers`

func runCommand() *cobra.Command {
	var o stageOptions
	var file string
	var set []string
	var check program.Check
	command := &cobra.Command{
		Use:     "run",
		Short:   "Run everything in one process, with a data directory that survives restarts",
		Long:    aboutRun,
		Example: runExamples,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			load := func() (*settings.Settings, error) { return runSettings(file, os.Environ(), set) }
			var err error
			if o.settings, err = load(); err != nil {
				return err
			}
			for _, flag := range []string{demoMailFlag, demoWebhookFlag} {
				if cmd.Flags().Changed(flag) && !isDemo(o.settings) {
					return fmt.Errorf("--%s goes with the demo, and mail.stores is configured", flag)
				}
			}
			if err := checkRun(o); err != nil {
				return err
			}
			if check.Asked {
				return explainRun(cmd.Context(), cmd.OutOrStdout(), o.settings, check)
			}
			ctx, restart := wire.NewRestart(cmd.Context())
			again := newReloads(file, load, &o)
			held, err := allinone.Hold(ctx, o.dir, cmd.OutOrStdout())
			if err != nil {
				return err
			}
			kept, err := run(ctx, cmd.OutOrStdout(), o, again)
			// Before a process follows in this one's place, which takes it again.
			if err = errors.Join(err, held.Release()); err != nil {
				return errors.Join(err, wire.CloseAll(kept))
			}
			return restart.Follow(kept)
		},
	}
	command.Flags().StringVar(&file, "config", "", "YAML file with the settings")
	command.Flags().Var(&check, "check", program.CheckUsage)
	command.Flags().Lookup("check").NoOptDefVal = "true"
	command.Flags().StringVar(&o.dir, "data", "data", "the data directory")
	command.Flags().StringVar(&o.mailAddress, demoMailFlag, "127.0.0.1:8143", "address of the demo mail store")
	command.Flags().StringVar(&o.receiverAddress, demoWebhookFlag, "127.0.0.1:8190", "address of the demo webhook receiver")
	command.Flags().StringArrayVar(&set, "set", nil, "one setting as KEY=VALUE, e.g. push.allowedClients=[a,b]; may be repeated")
	return command
}

// runSettings reads the settings. Those of the demo are more open than those that
// real mailboxes are served with, so which it is must be known first.
func runSettings(file string, environ, set []string) (*settings.Settings, error) {
	s := settings.Single()
	given, err := s.LoadOver(file, environ, set)
	if err != nil {
		return nil, err
	}
	if err := allinone.Refuse(given); err != nil {
		return nil, err
	}
	if !isDemo(s) {
		return s, nil
	}
	if where, ok := given["admin.administrators"]; ok {
		return nil, fmt.Errorf("%s: admin.administrators goes with mail.stores: the demo has an administrator of its own", where)
	}
	s = settings.Embedded()
	_, err = s.LoadOver(file, environ, set)
	return s, err
}

// checkRun tells what is wrong with the settings before anything is made.
func checkRun(o stageOptions) error {
	s := *o.settings
	if isDemo(&s) {
		s.Mail.Stores = demoStores("127.0.0.1:143") // its own is known once it listens: the port may be any
	}
	return errors.Join(allinone.Check(&s), s.CheckFileModesSingle())
}

// run runs everything until ctx ends, and returns the sockets that were kept.
func run(ctx context.Context, stdout io.Writer, o stageOptions, again *reloads) (kept []*os.File, err error) {
	var webhookSecret string
	demo := isDemo(o.settings)
	if demo {
		if o.password, err = allinone.Keep(o.dir, demoMailFile, randomWord); err != nil {
			return nil, err
		}
		if webhookSecret, err = allinone.Keep(o.dir, "demo-webhook-secret", newWebhookSecret); err != nil {
			return nil, err
		}
	}
	// Its own context: the stage must stop when a later step fails, too.
	staged, stop := context.WithCancel(ctx)
	defer stop()
	on, err := newStage(staged, o)
	if err != nil {
		return nil, err
	}
	if demo {
		_, err = on.subscribe(ctx, webhookSecret)
	}
	if err == nil {
		err = again.begin(staged, on.node)
	}
	if err == nil {
		on.greet(stdout, o.dir)
		err = on.showPushes(ctx, stdout, webhookSecret)
	}
	stop()
	again.wait()
	return on.node.Kept(), errors.Join(err, on.close())
}

// showPushes prints each push to the demo's receiver until ctx ends; only an end by
// itself is an error.
func (s *stage) showPushes(ctx context.Context, stdout io.Writer, webhookSecret string) error {
	var pushes <-chan *pushtest.Push
	if s.receiver != nil {
		pushes = s.receiver.pushes
	}
	for {
		select {
		case got := <-pushes:
			if err := errors.Join(got.Verify(webhookSecret), showPush(stdout, got)); err != nil {
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
