// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Command admin-api runs the admin-api service of a mailpush cluster.
package main

import (
	"os"

	"mailpush.internal/cmd/internal/program"
	"mailpush.internal/cmd/internal/wire/adminwire"
	"mailpush.internal/pkg/identity"
)

// version is set by the linker.
var version = "dev"

func main() {
	service := program.Service{Name: identity.Admin, Build: adminwire.Build, Check: adminwire.Check, Warnings: adminwire.Warnings, Probes: adminwire.Probes}
	os.Exit(program.Main(service, version, os.Args[1:], os.Stdout, os.Stderr))
}
