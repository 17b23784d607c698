// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Command house prints the halls of each service with the lines of their packages, and
// finds code that nothing reaches. It runs at the top of the repository. Invariant: it
// says what is there, by the same table that the import rules are held by.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"mailpush.internal/cmd/internal/layout"
)

func main() {
	deadOnly := flag.Bool("deadcode", false, "only list dead code, and fail when there is any")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, os.Stdout, *deadOnly)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "house:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, deadOnly bool) error {
	table, err := layout.Read()
	if err != nil {
		return err
	}
	if !deadOnly {
		if err := printHalls(out, ".", table); err != nil {
			return err
		}
	}
	dead, err := deadCode(ctx, table)
	if err != nil {
		return err
	}
	for _, function := range dead {
		fmt.Fprintln(out, function)
	}
	if deadOnly {
		if len(dead) > 0 {
			return fmt.Errorf("%d functions that nothing reaches: remove them", len(dead))
		}
		return nil
	}
	return printResults(out, ".", table, len(dead))
}
