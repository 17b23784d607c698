// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package pushusers is the pushusers command: the operators' view of the push users
// of a whole cluster, through AdminService alone. Invariant: standard output carries
// only what was asked for, standard error everything else, and the exit code says
// what kind of outcome it was.
package pushusers

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// app is what the commands share: the flags of every command, and the streams.
type app struct {
	connection connection
	output     outputFormat
	stdin      io.Reader
	stdout     io.Writer
	stderr     io.Writer
}

// Run runs the command line args and returns the exit code of the process.
func Run(args []string, version string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := &app{stdin: stdin, stdout: stdout, stderr: stderr}
	root := a.rootCommand()
	root.Version = version
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	return a.report(root.ExecuteContext(context.Background()))
}

// report says on standard error what went wrong and returns the exit code for it.
func (a *app) report(err error) int {
	if err == nil {
		return exitOK
	}
	failed, ok := errors.AsType[*failure](err)
	if !ok {
		// Whatever the command tree itself refuses is a mistake in the command line.
		failed = usagef("%v", err)
	}
	switch {
	case failed.code == exitUsage:
		fmt.Fprintf(a.stderr, "%s\nTry 'pushusers --help'.\n", failed.message)
	case failed.message != "":
		fmt.Fprintf(a.stderr, "pushusers: %s\n", failed.message)
	}
	return failed.code
}

// noArguments refuses stray words, which are most often a forgotten option letter.
func noArguments(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("unexpected argument %q", args[0])
	}
	return nil
}
