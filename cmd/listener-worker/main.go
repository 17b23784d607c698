// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Command listener-worker runs the listener-worker service of a mailpush cluster.
package main

import (
	"os"

	"mailpush.internal/cmd/internal/program"
	"mailpush.internal/cmd/internal/wire/workerwire"
	"mailpush.internal/pkg/identity"
)

// version is set by the linker.
var version = "dev"

func main() {
	service := program.Service{Name: identity.Worker, Build: workerwire.BuildAlone, Check: workerwire.Check, Probes: workerwire.Probes}
	os.Exit(program.Main(service, version, os.Args[1:], os.Stdout, os.Stderr))
}
