// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package rig starts what benchmarks measure: a mailpush in this process, workers as
// processes of their own. Invariant: everything it starts is on loopback and ends
// with its Close, and a process also with the one that started it.
package rig

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	"connectrpc.com/connect"

	"mailpush.internal/cmd/internal/allinone"
	"mailpush.internal/cmd/internal/settings"
	adminv1 "mailpush.internal/proto/gen/mailpush/admin/v1"
	"mailpush.internal/proto/gen/mailpush/admin/v1/adminv1connect"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	pushv1 "mailpush.internal/proto/gen/mailpush/push/v1"
	"mailpush.internal/proto/gen/mailpush/push/v1/pushv1connect"
)

const (
	startTimeout = time.Minute
	pollEvery    = 50 * time.Millisecond

	storeName = "bench"
	// Password is the password of every mailbox a rig subscribes.
	Password = "pw"
)

// Mailpush is a running mailpush under measurement.
type Mailpush struct {
	node  *allinone.Node
	stop  context.CancelFunc
	ended chan error
	push  pushv1connect.PushServiceClient

	// Admin is the operator's view.
	Admin adminv1connect.AdminServiceClient
}

// Options say what a Mailpush runs.
type Options struct {
	Dir      string                   // where it keeps everything
	Store    settings.Store           // its one mail store
	Services []string                 // in this process; empty means all
	Set      func(*settings.Settings) // changes the defaults; may be nil
	Etcd     []string                 // an etcd elsewhere; empty means one in this process
	Log      slog.Handler             // nil: warnings to standard error
}

// Box is the login of the nth mailbox, and its user in context 1.
func Box(n int) string { return fmt.Sprintf("box-%d", n) }

// New starts a mailpush in this process and returns when it is ready.
func New(ctx context.Context, o Options) (*Mailpush, error) {
	s := settings.Embedded()
	s.Mail.Stores = map[string]settings.Store{storeName: o.Store}
	s.AnyPort()
	if o.Set != nil {
		o.Set(s)
	}
	if o.Log == nil {
		o.Log = slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})
	}
	ctx, stop := context.WithCancel(ctx)
	node, err := allinone.New(ctx, allinone.Options{
		Dir: o.Dir, Settings: s, Version: "bench", Services: o.Services, Etcd: o.Etcd, Log: slog.New(o.Log),
	})
	if err != nil {
		stop()
		return nil, err
	}
	m := &Mailpush{node: node, stop: stop, ended: make(chan error, 1)}
	go func() { m.ended <- node.Run(ctx) }()
	basic := basicAuth{allinone.AdminName, node.AdminPassword.Reveal()}
	client, url := &http.Client{Transport: basic}, "http://"+s.Admin.Listen
	m.push = pushv1connect.NewPushServiceClient(client, url)
	m.Admin = adminv1connect.NewAdminServiceClient(client, url)
	if err := m.Await(ctx, "readiness", node.Ready); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

// Settings are the settings in force, with the addresses really bound.
func (m *Mailpush) Settings() *settings.Settings { return m.node.Settings() }

// basicAuth adds the administrator's credentials to each request.
type basicAuth struct{ name, password string }

// RoundTrip implements [http.RoundTripper].
func (b basicAuth) RoundTrip(request *http.Request) (*http.Response, error) {
	request = request.Clone(request.Context())
	request.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(b.name+":"+b.password)))
	return http.DefaultTransport.RoundTrip(request)
}

// Close stops everything in order and waits for it.
func (m *Mailpush) Close() error {
	m.stop()
	return <-m.ended
}

// Await repeats check until it returns nil.
func (m *Mailpush) Await(ctx context.Context, what string, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	var last error
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil { // the deadline itself says little
			last = err
		}
		select {
		case <-tick.C:
		case ended := <-m.ended:
			m.ended <- ended
			return errors.Join(fmt.Errorf("waiting for %s: mailpush stopped", what), ended)
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, last)
		}
	}
}

// Subscribe subscribes the user box@1, whose login is box, to its path at url.
func (m *Mailpush) Subscribe(ctx context.Context, box, url string) error {
	request := connect.NewRequest(&pushv1.SubscribeRequest{
		ContextId: "1", UserId: box, ClientId: "bench", Topics: []string{"mail:new"},
		Account: &pushv1.Account{MailStore: storeName, Login: box, Password: Password},
		Webhook: &pushv1.Webhook{Url: url + "/" + box},
		Mode:    mailv1.Mode_MODE_EACH, // what is timed is one mail's way, without gathering more
	})
	answer, err := m.push.Subscribe(ctx, request)
	if err != nil {
		return fmt.Errorf("subscribing %s: %w", box, err)
	}
	if !answer.Msg.GetPermanent() {
		return fmt.Errorf("subscribing %s: no permanent listener: %s", box, answer.Msg.GetReason())
	}
	return nil
}

// AwaitIdle waits until the list shows n listeners waiting in IDLE.
func (m *Mailpush) AwaitIdle(ctx context.Context, n int) error {
	return m.Await(ctx, "idle listeners", func(ctx context.Context) error {
		idle, token := 0, ""
		for {
			page, err := m.Admin.ListPushUsers(ctx, connect.NewRequest(&adminv1.ListPushUsersRequest{PageToken: token}))
			if err != nil {
				return err
			}
			for _, user := range page.Msg.GetPushUsers() {
				if user.GetState() == mailv1.ListenerState_LISTENER_STATE_IDLE {
					idle++
				}
			}
			if token = page.Msg.GetNextPageToken(); token == "" {
				break
			}
		}
		if idle != n {
			return fmt.Errorf("%d of %d are idle", idle, n)
		}
		return nil
	})
}
