// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package imapidle

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"sync"
	"time"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/listen"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// Name is how configuration and listings call this backend.
const Name = "imapidle"

const (
	defaultResponseTimeout = 30 * time.Second
	logoutTimeout          = 2 * time.Second
)

// Backend opens mailboxes over IMAP. It is safe for concurrent use.
type Backend struct {
	mu  sync.Mutex
	tls map[tlsKey]*tls.Config // one per store, so that all its connections share tickets
}

type tlsKey struct{ name, address, serverName, ca string }

// New makes a backend.
func New() *Backend { return &Backend{tls: make(map[tlsKey]*tls.Config)} }

// Open implements [listen.Source].
func (b *Backend) Open(ctx context.Context, of listen.Mailbox, login listen.LoginFunc, notify listen.Notify) (listen.Reader, listen.Opening, error) {
	c, opening, err := b.open(ctx, of.Store, login, notify)
	if err != nil {
		return nil, opening, err
	}
	return c, opening, nil
}

func (b *Backend) open(ctx context.Context, store *mailv1.MailStore, login listen.LoginFunc, notify listen.Notify) (*conn, listen.Opening, error) {
	timeout := store.GetResponseTimeout().AsDuration()
	if timeout <= 0 {
		timeout = defaultResponseTimeout
	}
	raw, err := b.dial(ctx, store, timeout)
	if err != nil {
		return nil, listen.Opening{}, err
	}
	quiet := max(store.GetIdleRefresh().AsDuration(), store.GetPollInterval().AsDuration(), defaultIdleRefresh)
	c := newConn(raw, timeout, quiet, notify)
	stop := context.AfterFunc(ctx, c.wire.shut)
	defer stop()
	opening, failure := c.open(ctx, login, store.GetTlsMode())
	if failure != nil {
		c.Close()
		return nil, opening, failure
	}
	return c, opening, nil
}

// tlsConfig returns the store's TLS configuration.
func (b *Backend) tlsConfig(store *mailv1.MailStore) (*tls.Config, error) {
	name := store.GetServerName()
	if name == "" {
		host, _, err := net.SplitHostPort(store.GetAddress())
		if err != nil {
			return nil, &mailbox.Failure{Class: mailbox.ClassUnavailable, Reason: "mail store's address is not host:port", Err: err}
		}
		name = host
	}
	key := tlsKey{store.GetName(), store.GetAddress(), name, string(store.GetCaPem())}
	b.mu.Lock()
	defer b.mu.Unlock()
	if cfg := b.tls[key]; cfg != nil {
		return cfg, nil
	}
	cfg := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		ServerName:         name,
		ClientSessionCache: tls.NewLRUClientSessionCache(4),
	}
	if pem := store.GetCaPem(); len(pem) > 0 {
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, &mailbox.Failure{Class: mailbox.ClassTLS, Reason: "mail store's CA holds no certificate"}
		}
	}
	b.tls[key] = cfg
	return cfg, nil
}
