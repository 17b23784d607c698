// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Command credential-vault runs the credential-vault service of a mailpush cluster.
package main

import (
	"os"

	"mailpush.internal/cmd/internal/program"
	"mailpush.internal/cmd/internal/wire/vaultwire"
	"mailpush.internal/pkg/identity"
)

// version is set by the linker.
var version = "dev"

func main() {
	service := program.Service{Name: identity.Vault, Build: vaultwire.Build, Check: vaultwire.Check, Warnings: vaultwire.Warnings, Probes: vaultwire.Probes}
	os.Exit(program.Main(service, version, os.Args[1:], os.Stdout, os.Stderr))
}
