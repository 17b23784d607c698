// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"mailpush.internal/cmd/internal/settings"
	"mailpush.internal/pkg/identity"
	"mailpush.internal/pkg/secret"
	adminapi "mailpush.internal/services/admin-api"
)

func certsCommand() *cobra.Command {
	var out, cluster string
	command := &cobra.Command{
		Use:   "certs --out DIR",
		Short: "Make a certificate authority and a certificate for each service",
		Long: `Make what the services need to know each other: ca.crt, ca.key, and for each
service SERVICE.crt and SERVICE.key, valid for two years. Run again, it renews the
services' certificates under the same authority.

Keep ca.key away from the services: who has it can be any of them.`,
		Example: "  mailpush certs --out /etc/mailpush/tls --cluster example",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			authority, err := identity.OpenAuthority(out, cluster)
			if err != nil {
				return err
			}
			for _, service := range identity.Services() {
				files, err := authority.Write(service, out)
				if err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s  spiffe://%s/%s\n", files.Cert, cluster, service)
			}
			return nil
		},
	}
	command.Flags().StringVar(&out, "out", "", "directory to write to")
	command.Flags().StringVar(&cluster, "cluster", settings.Default().Cluster.Name, "the cluster's name, cluster.name in its configuration")
	_ = command.MarkFlagRequired("out") // the flag exists
	return command
}

func hashPasswordCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "hash-password",
		Short:   "Read a password from standard input and print its hash for admin.administrators",
		Example: "  mailpush hash-password < password-file",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			scanner := bufio.NewScanner(cmd.InOrStdin())
			scanner.Scan()
			password := strings.TrimRight(scanner.Text(), "\r")
			if err := scanner.Err(); err != nil {
				return fmt.Errorf("reading the password: %w", err)
			}
			if password == "" {
				return errors.New("reading the password: standard input is empty")
			}
			fmt.Fprintln(cmd.OutOrStdout(), adminapi.HashPassword(secret.New(password)))
			return nil
		},
	}
}

// tokenBytes is the entropy of an application's token.
const tokenBytes = 32

func newTokenCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "new-token",
		Short: "Make a bearer token for an application and its hash for admin.applications",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			raw := make([]byte, tokenBytes)
			_, _ = rand.Read(raw) // never returns an error
			token := "mpt_" + base64.RawURLEncoding.EncodeToString(raw)
			fmt.Fprintf(cmd.OutOrStdout(), "token:     %s\ntokenHash: %s\n", token, adminapi.HashToken(secret.New(token)))
			return nil
		},
	}
}

func settingsCommand() *cobra.Command {
	var reloads bool
	command := &cobra.Command{
		Use:   "settings",
		Short: "Print every setting with its default and meaning, as a Markdown table",
		Args:  cobra.NoArgs,
		Run: func(cmd *cobra.Command, _ []string) {
			if reloads {
				settings.UptakeTable(cmd.OutOrStdout())
				return
			}
			settings.Table(cmd.OutOrStdout())
		},
	}
	command.Flags().BoolVar(&reloads, "reload", false, "print which settings are taken while services run, and which need a restart")
	return command
}
