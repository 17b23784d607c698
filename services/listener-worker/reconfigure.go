// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package worker

import (
	"context"
	"net/netip"
	"reflect"
	"sync"
	"sync/atomic"

	"mailpush.internal/pkg/secret"
	"mailpush.internal/services/listener-worker/internal/mailnotify"
	"mailpush.internal/services/listener-worker/internal/notify"
	"mailpush.internal/services/listener-worker/internal/transport"
	"mailpush.internal/services/listener-worker/internal/webhook"
)

// live is what a worker asks for each time that it needs it, so that it may change.
type live struct {
	cfg      atomic.Pointer[Config]
	webhooks webhooks
}

// doveadmKey is the key of a mail store's doveadm.
func (l *live) doveadmKey(store string) (secret.String, bool) {
	key, have := l.cfg.Load().DoveadmKeys[store]
	return key, have
}

// notifyLogin is what mail stores log in with that tell of mail over HTTP.
func (l *live) notifyLogin() notify.Login {
	n := l.cfg.Load().Notify
	return notify.Login{Name: n.Name, Password: n.Password}
}

// senders are the mail stores that tell of mail by datagrams.
func (l *live) senders() mailnotify.Senders {
	m := l.cfg.Load().MailNotify
	return mailnotify.Senders{Allow: m.Allow, Secret: m.Secret, LoginDelimiter: m.LoginDelimiter}
}

// Reconfigure judges a configuration that was read again, and returns what has it taken:
// keys of doveadm, who may notify, limits and rules of webhooks. All else stays what New
// was told. Requests in flight end as they began.
func (s *Service) Reconfigure(cfg Config) (take func(), err error) {
	if cfg.Notify == (Notify{}) {
		cfg.Notify = s.live.cfg.Load().Notify // who notifies does so until a restart
	}
	cfg.Notify.Listener, cfg.MailNotify.Sockets = s.cfg.Notify.Listener, s.cfg.MailNotify.Sockets
	if err := cfg.checkNotify(); err != nil {
		return nil, err
	}
	rules, err := webhook.NewRules(ruleFiles(cfg.WebhookRules))
	if err != nil {
		return nil, err
	}
	return func() {
		s.live.cfg.Store(&cfg)
		s.notifyTLS.Replace(cfg.Notify.TLS)
		s.live.webhooks.limit(limitsOf(cfg), rules)
	}, nil
}

// webhooks is the transport webhook under limits that may change. It sends nothing before
// start.
type webhooks struct {
	current atomic.Pointer[webhook.Client]

	mu      sync.Mutex
	base    webhook.Config // all but the limits
	started bool
	limits  limits
	rules   []*webhook.Rule // made of the limits
}

// limits are where webhooks may go, and what is shown there.
type limits struct {
	allowHTTP, requireEcho bool
	allowPrivate           []netip.Prefix
	ports                  []uint16
	rules                  []WebhookRule
}

func limitsOf(cfg Config) limits {
	return limits{cfg.AllowHTTPWebhooks, cfg.RequireWebhookEcho, cfg.AllowPrivateWebhooks, cfg.WebhookPorts, cfg.WebhookRules}
}

// start sends from now on.
func (w *webhooks) start(base webhook.Config) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.base, w.started = base, true
	w.renew()
}

// limit goes by other limits from now on. Connections are given up only when they differ;
// files of rules that have changed are read again by whoever uses them.
func (w *webhooks) limit(to limits, rules []*webhook.Rule) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if reflect.DeepEqual(w.limits, to) {
		return
	}
	w.limits, w.rules = to, rules
	if w.started {
		w.renew()
	}
}

func (w *webhooks) renew() {
	cfg := w.base
	cfg.AllowHTTP, cfg.AllowPrivate, cfg.RequireEcho = w.limits.allowHTTP, w.limits.allowPrivate, w.limits.requireEcho
	cfg.Ports, cfg.Rules = w.limits.ports, w.rules
	if before := w.current.Swap(webhook.New(cfg)); before != nil {
		before.Close()
	}
}

var _ transport.Transport = (*webhooks)(nil)

// Send implements [transport.Transport].
func (w *webhooks) Send(ctx context.Context, push transport.Push) transport.Result {
	return w.current.Load().Send(ctx, push)
}

// Origin implements [transport.Transport].
func (w *webhooks) Origin(target transport.Target) string { return w.current.Load().Origin(target) }

// Asks implements [transport.Transport].
func (w *webhooks) Asks() bool { return w.current.Load().Asks() }

// Signs implements [transport.Transport].
func (w *webhooks) Signs() bool { return w.current.Load().Signs() }

// Close drops the idle connections.
func (w *webhooks) Close() { w.current.Load().Close() }
