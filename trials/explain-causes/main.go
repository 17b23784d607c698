// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Command explain-causes makes everything that keeps a push from a user, one after the
// other, in a running mailpush, and asks explain each time why there is none. Invariant: it
// exits 0 only when explain alone has named every cause.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"mailpush.internal/trials/internal/causes"
	"mailpush.internal/trials/internal/rig"
)

func main() {
	keep := flag.Bool("keep", false, "keep the logs of the processes, and say where")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *keep, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "explain-causes:", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop was called
	}
}

func run(ctx context.Context, keep bool, out io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "mailpush-causes-")
	if err != nil {
		return err
	}
	defer func() {
		if keep {
			fmt.Fprintln(out, "the logs are in", dir)
			return
		}
		err = errors.Join(err, os.RemoveAll(dir))
	}()
	programs, err := rig.Build(ctx, dir)
	if err != nil {
		return err
	}
	found, err := causes.Run(ctx, causes.Options{Dir: dir, Programs: programs, Out: out})
	if err != nil {
		return err
	}
	named := causes.Named(found)
	fmt.Fprintf(out, "result: explain_causes=%d\nresult: explain_named=%d\n", len(found), named)
	if named < len(found) {
		return fmt.Errorf("%d causes are not named", len(found)-named)
	}
	return nil
}
