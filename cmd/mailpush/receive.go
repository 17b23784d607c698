// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/spf13/cobra"

	"mailpush.internal/pkg/pushtest"
)

func receiveCommand() *cobra.Command {
	var listen string
	var count int
	command := &cobra.Command{
		Use:   "receive",
		Short: "Run a webhook endpoint that accepts every push and prints it",
		Long: `Run a webhook endpoint that accepts every push and prints it, to see what an
application would get. It checks no signature and keeps nothing. What asks whether
the endpoint wants pushes is accepted, too, and printed.`,
		Example: `  mailpush receive
  mailpush receive --listen 127.0.0.1:8190 --count 1`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if count < 0 {
				return fmt.Errorf("--count %d: want 0, for no end, or more", count)
			}
			received, answered := make(chan *pushtest.Push), make(chan struct{})
			receiver, err := pushtest.New(pushtest.Options{Address: listen, Forget: true, Answer: oneByOne(received, answered)})
			if err != nil {
				return err
			}
			defer receiver.Close()
			fmt.Fprintf(cmd.OutOrStdout(), "accepting pushes at %s\n", receiver.URL()+"/push")
			for seen := 0; count == 0 || seen < count; {
				select {
				case push := <-received:
					printPush(cmd.OutOrStdout(), push)
					<-answered
					if push.Type != pushtest.TypePing {
						seen++
					}
				case <-cmd.Context().Done():
					return nil
				}
			}
			return nil
		},
	}
	command.Flags().StringVar(&listen, "listen", "127.0.0.1:8190", "address of the endpoint")
	command.Flags().IntVar(&count, "count", 0, "end after so many pushes, pings not counted; 0: never")
	return command
}

// oneByOne hands pushes on, and tells of each when its answer is out: whoever ends then
// cuts nothing.
func oneByOne(received chan<- *pushtest.Push, answered chan<- struct{}) pushtest.Answer {
	return func(w http.ResponseWriter, request *http.Request, push *pushtest.Push) {
		select {
		case received <- push:
		case <-request.Context().Done():
			return
		}
		pushtest.Accept(w, request, push)
		_ = http.NewResponseController(w).Flush() // it fails where nobody waits any more
		answered <- struct{}{}
	}
}

// printPush prints the body of a push, or what came instead of one.
func printPush(w io.Writer, push *pushtest.Push) {
	var body bytes.Buffer
	if err := json.Indent(&body, push.Body, "", "  "); err != nil {
		fmt.Fprintf(w, "no push: %q\n", push.Body)
		return
	}
	fmt.Fprintln(w, body.String())
}
