// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

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
)

// mailpush is a running mailpush under measurement.
type mailpush struct {
	node  *allinone.Node
	stop  context.CancelFunc
	ended chan error
	push  pushv1connect.PushServiceClient
	admin adminv1connect.AdminServiceClient
}

// newMailpush starts the named services, all when none is named, with one mail
// store, in this process.
func newMailpush(ctx context.Context, dir string, store settings.Store, services ...string) (*mailpush, error) {
	s := settings.Default()
	s.Push.CredStorage.Enabled = true
	s.Push.CredStorage.RDB = true
	s.Push.Webhook.AllowHTTP = true
	s.IMAPIdle.SupportsPermanentListeners = true
	s.Mail.Stores = map[string]settings.Store{benchStore: store}
	s.AnyPort()
	ctx, stop := context.WithCancel(ctx)
	node, err := allinone.New(ctx, allinone.Options{
		Dir: dir, Settings: s, Version: "bench", Services: services,
		Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		stop()
		return nil, err
	}
	m := &mailpush{node: node, stop: stop, ended: make(chan error, 1)}
	go func() { m.ended <- node.Run(ctx) }()
	basic := basicAuth{allinone.AdminName, node.AdminPassword.Reveal()}
	client, url := &http.Client{Transport: basic}, "http://"+s.Admin.Listen
	m.push = pushv1connect.NewPushServiceClient(client, url)
	m.admin = adminv1connect.NewAdminServiceClient(client, url)
	err = m.await(ctx, "readiness", node.Ready)
	return m, err
}

// basicAuth adds the administrator's credentials to each request.
type basicAuth struct{ name, password string }

// RoundTrip implements [http.RoundTripper].
func (b basicAuth) RoundTrip(request *http.Request) (*http.Response, error) {
	request = request.Clone(request.Context())
	request.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(b.name+":"+b.password)))
	return http.DefaultTransport.RoundTrip(request)
}

func (m *mailpush) close() error {
	m.stop()
	return <-m.ended
}

// await repeats check until it returns nil.
func (m *mailpush) await(ctx context.Context, what string, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case ended := <-m.ended:
			m.ended <- ended
			return errors.Join(fmt.Errorf("waiting for %s: mailpush stopped", what), ended)
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, err)
		}
	}
}

// subscribe subscribes the user box@1, whose login is box, to its path at url.
func (m *mailpush) subscribe(ctx context.Context, box, url string) error {
	request := connect.NewRequest(&pushv1.SubscribeRequest{
		ContextId: "1", UserId: box, ClientId: "bench", Topics: []string{"mail:new"},
		Account: &pushv1.Account{MailStore: benchStore, Login: box, Password: benchPassword},
		Webhook: &pushv1.Webhook{Url: url + "/" + box},
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

// awaitIdle waits until the list shows n listeners waiting in IDLE.
func (m *mailpush) awaitIdle(ctx context.Context, n int) error {
	return m.await(ctx, "idle listeners", func(ctx context.Context) error {
		idle, token := 0, ""
		for {
			page, err := m.admin.ListPushUsers(ctx, connect.NewRequest(&adminv1.ListPushUsersRequest{PageToken: token}))
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
