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
	os.Exit(program.Main(identity.Worker, workerwire.BuildAlone, version, os.Args[1:], os.Stdout, os.Stderr, workerwire.Check))
}
