// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Command mailpush runs a whole mailpush in one process, and has the small tools an
// operator needs to set up services of their own: certificates, password hashes,
// tokens, the table of settings.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"mailpush.internal/pkg/secret"
)

// version is set by the linker.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	// A second signal ends a stop that hangs.
	context.AfterFunc(ctx, stop)
	if err := secret.NoDumps(); err != nil {
		fmt.Fprintln(os.Stderr, "mailpush: the kernel may write this process's memory to disk:", err)
	}
	err := command().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "mailpush:", err)
		os.Exit(1)
	}
}

func command() *cobra.Command {
	root := &cobra.Command{
		Use:   "mailpush",
		Short: "Permanent mail push for operators of mail platforms",
		Long: `mailpush tells clients "you have new mail" without the client being connected.

  mailpush demo       shows one mail arriving as one push, and cleans up
  mailpush run        runs everything in one process, with a data directory

  mailpush dovecot-config  prints what a Dovecot needs to tell of new mail
  mailpush receive         runs a webhook endpoint that prints what it gets

The services can also run apart, each from a binary of its own; certs,
hash-password and new-token make what their configuration needs.`,
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(demoCommand(), runCommand(), certsCommand(), hashPasswordCommand(), newTokenCommand(), settingsCommand(), dovecotConfigCommand(), receiveCommand())
	return root
}
