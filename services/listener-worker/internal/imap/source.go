// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package imap

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"sync"
	"time"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/imap/internal/park"
	"mailpush.internal/services/listener-worker/internal/listen"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// Name is how configuration and listings call this backend.
const Name = "imapidle"

const (
	defaultResponseTimeout = 30 * time.Second
	logoutTimeout          = 2 * time.Second
)

// Source opens mailboxes over IMAP. It is safe for concurrent use.
type Source struct {
	cfg     Config
	metrics *counters
	lot     park.Lot // where connections are parked

	mu    sync.Mutex
	tls   map[tlsKey]*tls.Config // one per store, so that all its connections share tickets
	hosts map[string]*host       // what was learned of a store, by its address
}

type tlsKey struct{ name, address, serverName, ca string }

// New makes a source.
func New(cfg Config) *Source {
	cfg = cfg.withDefaults()
	return &Source{
		cfg: cfg, metrics: newCounters(cfg),
		tls: make(map[tlsKey]*tls.Config), hosts: make(map[string]*host),
	}
}

// Open implements [listen.Source].
func (s *Source) Open(ctx context.Context, of mailbox.Listening, login listen.LoginFunc, notify listen.Notify) (listen.Reader, listen.Opening, error) {
	c, opening, failure := s.open(ctx, of.Store, login, notify)
	if failure != nil {
		return nil, opening, failure
	}
	return c, opening, nil
}

func (s *Source) open(ctx context.Context, store *mailv1.MailStore, login listen.LoginFunc, notify listen.Notify) (*conn, listen.Opening, *mailbox.Failure) {
	timeout := store.GetResponseTimeout().AsDuration()
	if timeout <= 0 {
		timeout = defaultResponseTimeout
	}
	config, failure := s.protection(store)
	if failure != nil {
		return nil, listen.Opening{}, failure.OfStore()
	}
	tcp, failure := connect(ctx, store.GetAddress(), timeout)
	if failure != nil {
		return nil, listen.Opening{}, failure.OfStore()
	}
	c, err := newConn(s, tcp, timeout, notify)
	if err != nil {
		_ = tcp.Close() // the error is what counts
		return nil, listen.Opening{}, &mailbox.Failure{Class: mailbox.ClassUnavailable, Reason: "the connection cannot be parked", Err: err}
	}
	c.host, c.store = s.host(store), store.GetName()
	stop := context.AfterFunc(ctx, c.Close)
	defer stop()
	opening, failure := c.open(ctx, store.GetTlsMode(), config, login)
	c.redactor = redactor{}
	if failure != nil {
		c.Close()
		c.mu.Unlock()
		return nil, opening, failure
	}
	c.rest()
	return c, opening, nil
}

// host is what was learned of a store.
func (s *Source) host(store *mailv1.MailStore) *host {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.hosts[store.GetAddress()]
	if h == nil {
		h = new(host)
		s.hosts[store.GetAddress()] = h
	}
	return h
}

// protection returns the store's TLS configuration, nil for none.
func (s *Source) protection(store *mailv1.MailStore) (*tls.Config, *mailbox.Failure) {
	switch store.GetTlsMode() {
	case mailv1.TlsMode_TLS_MODE_IMPLICIT, mailv1.TlsMode_TLS_MODE_STARTTLS:
		return s.tlsConfig(store)
	case mailv1.TlsMode_TLS_MODE_PLAIN:
		return nil, nil
	default:
		return nil, &mailbox.Failure{Class: mailbox.ClassTLS, Reason: "mail store's TLS mode is not set; nothing is sent in clear text"}
	}
}

// tlsConfig returns the store's TLS configuration.
func (s *Source) tlsConfig(store *mailv1.MailStore) (*tls.Config, *mailbox.Failure) {
	name := store.GetServerName()
	if name == "" {
		host, _, err := net.SplitHostPort(store.GetAddress())
		if err != nil {
			return nil, &mailbox.Failure{Class: mailbox.ClassUnavailable, Reason: "mail store's address is not host:port", Err: err}
		}
		name = host
	}
	key := tlsKey{store.GetName(), store.GetAddress(), name, string(store.GetCaPem())}
	s.mu.Lock()
	defer s.mu.Unlock()
	if cfg := s.tls[key]; cfg != nil {
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
	s.tls[key] = cfg
	return cfg, nil
}
