// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/spf13/cobra"

	"mailpush.internal/cmd/internal/allinone"
	"mailpush.internal/cmd/internal/pushusers"
	"mailpush.internal/cmd/internal/settings"
	"mailpush.internal/pkg/pushtest"
)

// demoTimeout bounds the whole demo once it is built; it takes about two seconds.
const demoTimeout = 90 * time.Second

func demoCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "Show one mail arriving as one push, with everything in one process",
		Long: `Start an embedded etcd, the four services on SQLite, a demo mail store and a demo
webhook receiver, subscribe user 249@1 over HTTP and JSON, deliver a mail, wait for
the signed webhook, verify it, and show it with the pushusers table. Everything is
in a temporary directory and on free loopback ports; nothing is left behind.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), demoTimeout)
			defer cancel()
			return demo(ctx, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
}

func demo(ctx context.Context, stdout, stderr io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "mailpush-demo-")
	if err != nil {
		return fmt.Errorf("making a temporary directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()

	fmt.Fprintln(stdout, "mailpush demo: everything in one process, on free loopback ports, removed at the end")
	started := time.Now()
	run, stop := context.WithCancel(ctx)
	defer stop()
	s := settings.Embedded()
	s.AnyPort()
	on, err := newStage(run, stageOptions{
		dir:             dir,
		settings:        s,
		log:             slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
		password:        randomWord(),
		mailAddress:     "127.0.0.1:0",
		receiverAddress: "127.0.0.1:0",
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "  etcd, vault, admin-api, scheduler, worker  ready after %d ms\n", time.Since(started).Milliseconds())
	fmt.Fprintf(stdout, "  public API             %s\n", on.api.url)
	fmt.Fprintf(stdout, "  demo mail store        imap://%s@%s\n", demoLogin, on.mail.Addr())
	fmt.Fprintf(stdout, "  demo webhook receiver  %s\n", on.receiver.url)

	took, err := on.perform(ctx, stdout)
	stop()
	if err := errors.Join(err, on.close()); err != nil {
		return err
	}
	// Begun milliseconds count: nothing takes 0 ms.
	fmt.Fprintf(stdout, "demo: mail to push in %d ms\n", (took+time.Millisecond-1)/time.Millisecond)
	return nil
}

// perform is the demo itself; it returns how long the mail took to become a push.
func (s *stage) perform(ctx context.Context, stdout io.Writer) (time.Duration, error) {
	fmt.Fprintf(stdout, "\nsubscribing %s@%s: POST /mailpush.push.v1.PushService/Subscribe\n", demoUser, demoContext)
	subscribed, err := s.subscribe(ctx, "")
	if err != nil {
		return 0, err
	}
	fmt.Fprintf(stdout, "  subscriptionId %s, permanent %v\n", subscribed.SubscriptionID, subscribed.Permanent)
	if err := s.awaitConsent(ctx, subscribed.WebhookSecret); err != nil {
		return 0, err
	}
	fmt.Fprintln(stdout, "  the webhook has answered a signed ping: it wants pushes")
	if err := s.awaitListener(ctx); err != nil {
		return 0, err
	}

	fmt.Fprintf(stdout, "\ndelivering a mail to %s; no client and no user session is there\n", demoLogin)
	delivered := time.Now()
	if _, err := s.mail.Deliver(demoLogin, demoMail("Lunch at noon?")); err != nil {
		return 0, err
	}
	got, err := next(ctx, s.receiver.pushes)
	if err != nil {
		return 0, err
	}
	if err := got.Verify(subscribed.WebhookSecret); err != nil {
		return 0, err
	}
	if err := showPush(stdout, got); err != nil {
		return 0, err
	}
	fmt.Fprintln(stdout, "\n$ pushusers")
	return got.At.Sub(delivered), s.showPushUsers(stdout)
}

func showPush(stdout io.Writer, got *pushtest.Push) error {
	var body bytes.Buffer
	if err := json.Indent(&body, got.Body, "  ", "  "); err != nil {
		return fmt.Errorf("reading the push: %w", err)
	}
	fmt.Fprintln(stdout, "\nthe push, as the webhook received it:")
	for _, name := range []string{"Webhook-Id", "Webhook-Timestamp", "Webhook-Signature"} {
		fmt.Fprintf(stdout, "  %s: %s\n", name, got.Header.Get(name))
	}
	fmt.Fprintf(stdout, "  %s\n  signature verified (Standard Webhooks)\n", body.String())
	return nil
}

// awaitConsent waits for the ping that asks the webhook whether it wants pushes.
func (s *stage) awaitConsent(ctx context.Context, key string) error {
	ping, err := next(ctx, s.receiver.pings)
	if err != nil {
		return err
	}
	return ping.Verify(key)
}

// awaitListener waits until the list shows the user's listener waiting for mail, so
// that the time shown is the time of a push and not of a login.
func (s *stage) awaitListener(ctx context.Context) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		var answer struct {
			PushUsers []struct{ State, LastError string } `json:"pushUsers"`
		}
		err := s.api.call(ctx, "mailpush.admin.v1.AdminService/ListPushUsers", struct{}{}, &answer)
		if err != nil {
			return err
		}
		if len(answer.PushUsers) == 1 && answer.PushUsers[0].State == "LISTENER_STATE_IDLE" {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("waiting for the listener: the list shows %+v", answer.PushUsers)
		}
	}
}

// showPushUsers runs the real command against the running admin-api. Its password
// travels by a file of mode 0600, as it should.
func (s *stage) showPushUsers(stdout io.Writer) error {
	host, port, err := net.SplitHostPort(s.node.Settings().Admin.Listen)
	if err != nil {
		return fmt.Errorf("running pushusers: %w", err)
	}
	var complaint bytes.Buffer
	code := pushusers.Run([]string{
		"--server", host, "--port", port, "--adminuser", allinone.AdminName, "--adminpass-file", s.node.AdminPasswordFile(),
	}, version, bytes.NewReader(nil), stdout, &complaint)
	if code != 0 {
		return fmt.Errorf("running pushusers: exit code %d: %s", code, complaint.String())
	}
	return nil
}
