// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"mailpush.internal/pkg/imaptest"
)

// doubleMain is the process that plays the mail store of the memory measurement. It
// writes its certificate to the file named in args and its address to standard
// output, and serves until it is ended.
func doubleMain(args []string, stdout io.Writer) int {
	if len(args) != 1 {
		fmt.Fprintln(os.Stderr, "bench: imap-double wants the file for its certificate")
		return 1
	}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM, syscall.SIGINT)
	double, err := imaptest.NewMany("127.0.0.1:0")
	if err == nil {
		err = os.WriteFile(args[0], double.CA(), 0o600) //nolint:gosec // the benchmark itself named the file
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench: imap-double:", err)
		return 1
	}
	fmt.Fprintln(stdout, double.Addr())
	<-ended
	_ = double.Close() // the process ends
	return 0
}
