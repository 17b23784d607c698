// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"mailpush.internal/cmd/internal/allinone"
	"mailpush.internal/cmd/internal/settings"
	"mailpush.internal/pkg/imaptest"
)

// Who the demo is about.
const (
	demoContext = "1"
	demoUser    = "249"
	demoLogin   = "anna"
	demoStore   = "demo"
	demoClient  = "open-xchange-mobile-api-facade"
)

// readyTimeout bounds the start of everything; it takes about a second.
const readyTimeout = 60 * time.Second

// stage is a running mailpush, with a demo mail store and a demo webhook receiver when
// the settings have no mail store.
type stage struct {
	node     *allinone.Node
	mail     *imaptest.Server // nil without the demo
	password string
	receiver *receiver // nil without the demo
	api      api
	ended    chan error // the node's Run
}

// stageOptions say where a stage keeps its state and which addresses it takes.
type stageOptions struct {
	dir             string
	settings        *settings.Settings
	log             *slog.Logger
	password        string // of the demo mailbox
	mailAddress     string
	receiverAddress string
}

// newStage starts everything and returns when it is ready. It stops with ctx;
// close waits for that.
func newStage(ctx context.Context, o stageOptions) (*stage, error) {
	s := &stage{ended: make(chan error, 1), password: o.password}
	if err := s.start(ctx, o); err != nil {
		s.closeDemo()
		return nil, err
	}
	if err := s.awaitReady(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *stage) start(ctx context.Context, o stageOptions) error {
	var err error
	if isDemo(o.settings) {
		if err := s.startDemo(o); err != nil {
			return err
		}
	}
	s.node, err = allinone.New(ctx, allinone.Options{Dir: o.dir, Settings: o.settings, Log: o.log, Version: version})
	if err != nil {
		return err
	}
	s.api = api{url: publicURL(s.node.Settings()), password: s.node.AdminPassword}
	go func() { s.ended <- s.node.Run(ctx) }()
	return nil
}

// isDemo tells whether there is no mailbox to listen to but that of a demo.
func isDemo(s *settings.Settings) bool { return len(s.Mail.Stores) == 0 }

func (s *stage) startDemo(o stageOptions) error {
	var err error
	if s.mail, err = imaptest.NewServer(imaptest.Options{Address: o.mailAddress, Protection: imaptest.Plain}); err != nil {
		return fmt.Errorf("starting the demo mail store: %w", err)
	}
	if err := s.mail.AddUser(demoLogin, s.password); err != nil {
		return err
	}
	if s.receiver, err = newReceiver(o.receiverAddress); err != nil {
		return err
	}
	o.settings.Mail.Stores = demoStores(s.mail.Addr())
	return nil
}

func demoStores(address string) map[string]settings.Store {
	return map[string]settings.Store{demoStore: {Address: address, TLS: settings.TLSNone}}
}

func publicURL(s *settings.Settings) string {
	if s.Admin.TLS.CertFile != "" {
		return "https://" + s.Admin.Listen
	}
	return "http://" + s.Admin.Listen
}

// awaitReady asks again and again until every service can do its work.
func (s *stage) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := s.node.Ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case ended := <-s.ended:
			s.ended <- ended
			return errors.Join(errors.New("mailpush stopped while starting"), ended)
		case <-ctx.Done():
			return fmt.Errorf("waiting for mailpush to be ready: %w", err)
		}
	}
}

// close waits until the node has stopped, after its context has ended.
func (s *stage) close() error {
	err := <-s.ended
	s.closeDemo()
	return err
}

func (s *stage) closeDemo() {
	if s.receiver != nil {
		s.receiver.Close()
	}
	if s.mail != nil {
		_ = s.mail.Close() // it is in memory: nothing can be lost
	}
}

func randomWord() string {
	raw := make([]byte, 15)
	_, _ = rand.Read(raw) // never returns an error
	return strings.ToLower(base32.StdEncoding.EncodeToString(raw))
}

// demoMail is a small mail with a header that must be decoded on the way.
func demoMail(subject string) []byte {
	return []byte(strings.Join([]string{
		"From: =?utf-8?q?Zo=C3=AB?= <zoe@example.org>",
		"To: anna@example.org",
		"Subject: " + subject,
		"Date: " + time.Now().Format(time.RFC1123Z),
		"Message-ID: <" + randomWord() + "@example.org>",
		"",
		"Hello Anna,",
		"no client was connected when this mail came.",
		"",
	}, "\r\n"))
}
