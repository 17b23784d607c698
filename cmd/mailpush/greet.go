// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"mailpush.internal/cmd/internal/allinone"
	"mailpush.internal/cmd/internal/online"
	"mailpush.internal/cmd/internal/program"
	"mailpush.internal/cmd/internal/settings"
	"mailpush.internal/pkg/identity"
)

// demoMailFile is the file that keeps the password of the demo's mailbox.
const demoMailFile = "demo-mail-password"

// explainRun judges certificates and writes what the settings mean, what run adds to them
// and, when it is asked to, whether the mail stores are reached.
func explainRun(ctx context.Context, w io.Writer, s *settings.Settings, check program.Check) error {
	if err := s.CheckServed(identity.Services()...); err != nil {
		return err
	}
	s.ExplainSingle(w)
	if len(s.Admin.Administrators) == 0 {
		fmt.Fprintln(w, "administrator  none is named: "+allinone.AdminName+" is made at the first start")
	}
	if isDemo(s) {
		fmt.Fprintln(w, "demo           no mail store is configured: a demo mail store and a demo webhook receiver are added")
	}
	if check.Online {
		if err := online.Look(ctx, w, online.MailStores(s)); err != nil {
			return err
		}
	}
	fmt.Fprintln(w, "mailpush run: the configuration is valid")
	return nil
}

// greet tells whoever has started it what runs and how to go on.
func (s *stage) greet(stdout io.Writer, dir string) {
	lines := append([]string{
		"mailpush is running; Ctrl-C stops it.",
		"  public API             " + s.api.url,
	}, s.administration(dir)...)
	if s.receiver != nil {
		lines = append(lines, s.demoLines(dir)...)
	}
	fmt.Fprintln(stdout, strings.Join(append(lines, s.listing(dir)...), "\n"))
	if s.receiver == nil {
		fmt.Fprintln(stdout)
		s.node.Settings().ExplainSingle(stdout)
	}
}

func (s *stage) administration(dir string) []string {
	effective, file := s.node.Settings(), filepath.Join(dir, allinone.AdminPasswordName)
	var lines []string
	if !s.node.AdminPassword.IsZero() {
		password := "as generated at the first start, in " + file
		// What serves real mailboxes mostly writes into a journal.
		if s.node.AdminPasswordFresh && s.receiver != nil {
			password = s.node.AdminPassword.Reveal() + "  (generated once, kept in " + file + ")"
		}
		lines = append(lines, "  admin user             "+allinone.AdminName, "  admin password         "+password)
	}
	return append(lines,
		"  health and metrics     http://"+effective.Admin.OpsListen+" (admin-api), http://"+effective.Vault.OpsListen+
			" (vault), http://"+effective.Scheduler.OpsListen+" (scheduler), http://"+effective.Worker.OpsListen+" (worker)")
}

func (s *stage) demoLines(dir string) []string {
	password := filepath.Join(dir, demoMailFile)
	return []string{
		"  demo mail store        imap://" + s.mail.Addr() + ", user " + demoLogin + ", password in " + password,
		"  demo webhook receiver  " + s.receiver.url,
		"  subscribed             " + demoUser + "@" + demoContext,
		"",
		"Deliver a mail, and see its push here:",
		"  curl -sS --user \"" + demoLogin + ":$(cat " + password + ")\" -H 'From: zoe@example.org' -H 'Subject: Hello' -F '=Hi' imap://" + s.mail.Addr() + "/INBOX",
	}
}

// listing is how to list the push users, for the administrator that was made.
func (s *stage) listing(dir string) []string {
	if s.node.AdminPassword.IsZero() {
		return nil
	}
	lines := []string{
		"List the push users:",
		"  bin/pushusers --adminuser " + allinone.AdminName + " --adminpass-file " + filepath.Join(dir, allinone.AdminPasswordName) +
			" --server " + s.api.url,
	}
	if s.receiver == nil {
		return append([]string{""}, lines...)
	}
	return lines
}
