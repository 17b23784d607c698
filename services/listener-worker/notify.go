// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package worker

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"time"

	"mailpush.internal/pkg/cluster"
	"mailpush.internal/pkg/fault"
	"mailpush.internal/pkg/secret"
	"mailpush.internal/pkg/service"
	"mailpush.internal/pkg/shard"
	"mailpush.internal/services/listener-worker/internal/dovecot"
	"mailpush.internal/services/listener-worker/internal/hints"
	"mailpush.internal/services/listener-worker/internal/mailbox"
	"mailpush.internal/services/listener-worker/internal/mailnotify"
	"mailpush.internal/services/listener-worker/internal/notify"
)

// Notify is where mail stores tell of new mail over HTTP.
type Notify struct {
	// Listener is nil where they do not. Run takes it over.
	Listener net.Listener
	// TLS is nil for clear text. Whoever shows a certificate that it verifies needs no
	// login.
	TLS *tls.Config
	// Name and Password are the login of mail stores; without a password nobody has one.
	Name     string
	Password secret.String
}

// MailNotify is where mail stores tell of new mail by datagrams.
type MailNotify struct {
	// Sockets receive them. Run takes them over.
	Sockets []net.PacketConn
	// Allow are the addresses datagrams are taken from.
	Allow []netip.Prefix
	// Secret has to be the first option of each datagram; empty for nothing.
	Secret secret.String
	// LoginDelimiter is where a login ends in a datagram; empty for nowhere.
	LoginDelimiter string
	// FullAddress says that datagrams name whole logins; else what stands before their @
	// will do.
	FullAddress bool
	// Window is for how long the hints of one user are gathered.
	Window time.Duration
}

// check tells what keeps mail stores from being listened to.
func (c Config) checkNotify() error {
	switch n := c.Notify; {
	case n.Listener == nil:
	case n.Password.IsZero() && (n.TLS == nil || n.TLS.ClientCAs == nil):
		return fault.Field("notify", "neither a login nor an authority of certificates is configured")
	}
	if len(c.MailNotify.Sockets) > 0 && c.MailNotify.Window < 0 {
		return fault.Field("mailnotify", "the window is negative")
	}
	return nil
}

// unknown tells a source of a mailbox with a mark of its own that nobody listens to.
func (w parts) unknown(backend string, user mailbox.User) {
	if source, marks := w.sources[backend].(interface{ Unknown(user mailbox.User) }); marks {
		source.Unknown(user)
	}
}

// hinted tells whether hints come to this worker or to others of its cluster.
func (s *Service) hinted() bool {
	for _, backend := range s.cfg.Backends {
		if backend == dovecot.Name || backend == mailnotify.Name {
			return true
		}
	}
	return s.cfg.Notify.Listener != nil || len(s.cfg.MailNotify.Sockets) > 0
}

// bring takes hints from mail stores and has them brought to listeners, until ctx ends.
func (s *Service) bring(ctx context.Context, hub *hints.Hub) error {
	serve := []func(context.Context) error{hub.Run}
	if n := s.cfg.Notify; n.Listener != nil {
		endpoint := notify.New(notify.Config{
			Log: s.rt.Log, Metrics: s.rt.Metrics, Backend: dovecot.Name,
			Login: s.live.notifyLogin, Take: hub.Take,
		})
		serve = append(serve, func(ctx context.Context) error {
			return service.Serve(ctx, s.rt.Log, "notifications", n.Listener, s.notifyTLS.Config(), endpoint.Handler())
		})
	}
	if m := s.cfg.MailNotify; len(m.Sockets) > 0 {
		receiver := mailnotify.New(mailnotify.Config{
			Log: s.rt.Log, Metrics: s.rt.Metrics, Senders: s.live.senders, Window: m.Window, Put: hub.Put,
		})
		for _, socket := range m.Sockets {
			serve = append(serve, func(ctx context.Context) error { return receiver.Run(ctx, socket) })
		}
	}
	return service.Group(ctx, serve...)
}

// follow has hints find who runs which shard, where there may be any.
func (s *Service) follow(ctx context.Context, etcd *cluster.Client, hub *hints.Hub) error {
	if !s.hinted() {
		return nil
	}
	for owners := range etcd.Owners(ctx) {
		hub.Owned(func(id shard.ID) (hints.Owner, bool) {
			owner, known := owners.Of(id)
			return hints.Owner{Worker: owner.ID, Address: owner.Address}, known
		})
	}
	return nil
}
