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
	stdout     *stream
	stderr     io.Writer
}

// Run runs the command line args and returns the exit code of the process.
func Run(args []string, version string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := &app{stdin: stdin, stdout: &stream{to: stdout}, stderr: stderr}
	root := a.rootCommand()
	root.Version = version
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(a.stdout)
	addCompletion(root)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(context.Background())
	return a.report(cmd, err)
}

// report says on standard error what went wrong and returns the exit code for it. The
// words may be a server's: like those in tables they must not speak to the terminal.
func (a *app) report(cmd *cobra.Command, err error) int {
	failed := a.failed(err)
	if failed == nil {
		return exitOK
	}
	switch words := printable(failed.message); {
	case failed.code == exitUsage:
		fmt.Fprintf(a.stderr, "%s\nTry 'pushusers --help'.\n", hidePassword(cmd, words))
	case words != "":
		fmt.Fprintf(a.stderr, "pushusers: %s\n", words)
	}
	return failed.code
}

// failed is how the command ends after err, nil when all is well.
func (a *app) failed(err error) *failure {
	if unwritten := a.stdout.failure(); unwritten != nil {
		return unwritten
	}
	if err == nil {
		return nil
	}
	if failed, ok := errors.AsType[*failure](err); ok {
		return failed
	}
	// Whatever the command tree itself refuses is a mistake in the command line.
	return usagef("%v", err)
}
