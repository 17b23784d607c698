// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Command demo-dovecot shows one mail arriving as one push through a private, real
// Dovecot that tells of it: no connection is open to the mailbox, and nobody's password is
// known. Everything is on loopback and ends with the demo.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"mailpush.internal/pkg/dovecottest"
	"mailpush.internal/pkg/proctest"
	"mailpush.internal/pkg/pushtest"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/trials/internal/rig"
)

const (
	demoTimeout = 3 * time.Minute // building included
	mailbox     = "anna"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	ctx, cancel := context.WithTimeout(ctx, demoTimeout)
	err := demo(ctx, os.Stdout)
	cancel()
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo-dovecot:", err)
		os.Exit(1)
	}
}

// demo runs the demo in a temporary directory, and leaves nothing behind.
func demo(ctx context.Context, stdout io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "mailpush-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	fmt.Fprintln(stdout, "mailpush demo: a private Dovecot and the services as processes, on loopback, removed at the end")
	programs, err := rig.Build(ctx, dir)
	if err != nil {
		return err
	}
	on, err := newStage(ctx, dir, programs)
	if err != nil {
		return err
	}
	took, err := on.perform(ctx, stdout)
	if err := errors.Join(err, on.close()); err != nil {
		return err
	}
	// Begun milliseconds count: nothing takes 0 ms.
	fmt.Fprintf(stdout, "demo: mail to push in %d ms\n", (took+time.Millisecond-1)/time.Millisecond)
	return nil
}

// stage is everything that runs.
type stage struct {
	dovecotDir string
	dovecot    *dovecottest.Server
	receiver   *pushtest.Receiver
	mailpush   *rig.Mailpush
}

func newStage(ctx context.Context, dir string, programs rig.Programs) (s *stage, err error) {
	s = new(stage)
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	free, err := proctest.FreeAddresses(ctx, "127.0.0.2", 1)
	if err != nil {
		return s, err
	}
	password := rig.Password
	if s.dovecotDir, err = os.MkdirTemp("", "dovecot-"); err != nil { // its users must be able to pass through
		return s, err
	}
	s.dovecot, err = dovecottest.NewWith(s.dovecotDir, dovecottest.Options{
		NotifyURL: "http://dovecot:" + password + "@" + free[0] + "/preliminary/http-notify/v1/notify",
	})
	if err != nil {
		return s, err
	}
	if err := s.dovecot.AddUser(mailbox, password); err != nil {
		return s, err
	}
	if s.receiver, err = pushtest.New(pushtest.Options{}); err != nil {
		return s, err
	}
	key := filepath.Join(dir, "doveadm.key")
	if err := os.WriteFile(key, []byte(s.dovecot.DoveadmKey().Reveal()+"\n"), 0o600); err != nil {
		return s, err
	}
	s.mailpush, err = rig.New(ctx, rig.Options{
		Dir: filepath.Join(dir, "mailpush"), Programs: programs,
		Store: rig.Store{Backend: "dovecot", DoveadmURL: s.dovecot.DoveadmURL(), DoveadmKeyFile: key},
		Set: []string{
			"worker.backends=[dovecot]", "push.credstorage.enabled=false",
			"worker.notify.listen=" + free[0], "worker.notify.username=dovecot", "worker.notify.password=" + password,
		},
	})
	return s, err
}

func (s *stage) close() error {
	var errs []error
	if s.mailpush != nil {
		errs = append(errs, s.mailpush.Close())
	}
	if s.receiver != nil {
		s.receiver.Close()
	}
	if s.dovecot != nil {
		errs = append(errs, s.dovecot.Stop())
	}
	if s.dovecotDir != "" {
		errs = append(errs, os.RemoveAll(s.dovecotDir))
	}
	return errors.Join(errs...)
}

// perform is the demo itself; it returns how long the mail took to become a push.
func (s *stage) perform(ctx context.Context, stdout io.Writer) (time.Duration, error) {
	fmt.Fprintf(stdout, "  Dovecot's doveadm      %s\n  webhook receiver       %s\n", s.dovecot.DoveadmURL(), s.receiver.URL())
	err := s.mailpush.Await(ctx, "a subscription", func(ctx context.Context) error {
		return s.mailpush.Subscribe(ctx, mailbox, s.receiver.URL())
	})
	if err != nil {
		return 0, err
	}
	fmt.Fprintf(stdout, "\n%s@1 is subscribed, without a password: doveadm opens the mailbox\n", mailbox)
	if err := s.mailpush.AwaitState(ctx, mailv1.ListenerState_LISTENER_STATE_WAITING, 1); err != nil {
		return 0, err
	}
	fmt.Fprintln(stdout, "its listener is registered at Dovecot, and waits without a connection")

	fmt.Fprintf(stdout, "\ndelivering a mail to %s by LMTP\n", mailbox)
	delivered := time.Now()
	if err := s.dovecot.Deliver(mailbox, demoMail()); err != nil {
		return 0, err
	}
	accepted := time.Now()
	push, err := s.receiver.Next(ctx, pushtest.OfType(pushtest.TypeNewMail))
	if err != nil {
		return 0, err
	}
	var body bytes.Buffer
	if err := json.Indent(&body, push.Body, "  ", "  "); err != nil {
		return 0, err
	}
	fmt.Fprintf(stdout, "the push, as the webhook received it:\n  %s\n", body.String())
	when, apart := "before", accepted.Sub(push.At)
	if apart < 0 {
		when, apart = "after", -apart
	}
	fmt.Fprintf(stdout, "it came %.1f ms %s LMTP's answer to the sender\n", float64(apart)/float64(time.Millisecond), when)
	return push.At.Sub(delivered), nil
}

func demoMail() []byte {
	return []byte("From: =?utf-8?q?Zo=C3=AB?= <zoe@example.org>\r\nTo: anna@example.org\r\nSubject: Lunch at noon?\r\n" +
		"Date: " + time.Now().Format(time.RFC1123Z) + "\r\n\r\nHello Anna,\r\nno connection was open when this mail came.\r\n")
}
