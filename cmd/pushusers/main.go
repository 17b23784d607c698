// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Program pushusers shows and changes the push users of a mailpush cluster.
package main

import (
	"os"

	"mailpush.internal/cmd/internal/pushusers"
)

var version = "dev"

func main() {
	os.Exit(pushusers.Run(os.Args[1:], version, os.Stdin, os.Stdout, os.Stderr))
}
