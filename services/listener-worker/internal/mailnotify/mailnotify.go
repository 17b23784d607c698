// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package mailnotify is the backend for mail stores that tell of new mail by datagrams,
// as Cyrus' notifyd and the mail stores before it do, over UDP or a unix socket. It
// notices; another source reads.
//
// Invariants: a datagram is no more than a hint, so nothing is believed of it but that
// somebody may look; no datagram, whatever is in it, ends the listening; nobody but the
// senders that the operator has named is listened to.
package mailnotify

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"mailpush.internal/pkg/secret"
	"mailpush.internal/services/listener-worker/internal/hints"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// Name is what mail stores name this backend by.
const Name = "mailnotify"

// maxDatagram is what a datagram has room for.
const maxDatagram = 64 << 10

// Config sets up a Receiver.
type Config struct {
	Log     *slog.Logger          // nil: no log
	Metrics prometheus.Registerer // nil: no metrics
	// Senders are who is listened to at this moment; nil: who writes to a unix socket.
	Senders func() Senders
	// Window is for how long the hints of one user are gathered to one; zero: none are.
	Window time.Duration
	// Put takes a hint and does not block; see [hints.Hub].
	Put func(hint hints.Hint) hints.Result
}

// Senders are who is listened to, and how they speak.
type Senders struct {
	// Allow are the addresses datagrams are taken from. What comes by a unix socket is
	// taken: who may write there is the file system's business.
	Allow []netip.Prefix
	// Secret is what the first option of each datagram has to be; zero: nothing.
	Secret secret.String
	// LoginDelimiter is where a user's name in a datagram ends; empty: nowhere.
	LoginDelimiter string
}

// result is what became of a datagram, the label in metrics.
type result string

const (
	taken       result = "taken"
	otherFolder result = "other_folder"
	otherEvent  result = "other_event"
	malformed   result = "malformed"
	stranger    result = "stranger"
	noSecret    result = "wrong_secret"
)

// Receiver receives datagrams. It is safe for concurrent use.
type Receiver struct {
	cfg       Config
	gathering gathering
	datagrams *prometheus.CounterVec
}

// New makes a receiver.
func New(cfg Config) *Receiver {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Senders == nil {
		cfg.Senders = func() Senders { return Senders{} }
	}
	r := &Receiver{
		cfg: cfg,
		datagrams: promauto.With(cfg.Metrics).NewCounterVec(prometheus.CounterOpts{
			Name: "mailpush_worker_mailnotify_datagrams_total",
			Help: "Datagrams of mail stores, by what became of them.",
		}, []string{"result"}),
	}
	r.gathering.window, r.gathering.put = cfg.Window, cfg.Put
	for _, result := range []result{taken, otherFolder, otherEvent, malformed, stranger, noSecret} {
		r.datagrams.WithLabelValues(string(result))
	}
	return r
}

// Run receives what comes to a socket until ctx ends. It owns the socket.
func (r *Receiver) Run(ctx context.Context, socket net.PacketConn) error {
	stop := context.AfterFunc(ctx, func() { _ = socket.Close() }) // ends the read
	defer stop()
	defer r.gathering.flush()
	r.cfg.Log.InfoContext(ctx, "listening", "what", "mailnotify", "address", socket.LocalAddr().String())
	buffer := make([]byte, maxDatagram)
	for {
		n, from, err := socket.ReadFrom(buffer)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		case err != nil: // of one datagram, such as an answer to none of ours
			r.cfg.Log.WarnContext(ctx, "a datagram could not be received", "error", err)
			pause(ctx)
			continue
		}
		result := r.take(buffer[:n], from, time.Now())
		r.datagrams.WithLabelValues(string(result)).Inc()
	}
}

// pause keeps a socket that is out of order from keeping a core busy.
func pause(ctx context.Context) {
	select {
	case <-time.After(100 * time.Millisecond):
	case <-ctx.Done():
	}
}

// take takes in one datagram.
func (r *Receiver) take(data []byte, from net.Addr, at time.Time) result {
	senders := r.cfg.Senders()
	if !senders.allowed(from) {
		return stranger
	}
	said, err := parse(data)
	if err != nil {
		r.cfg.Log.Debug("a datagram was not understood", "reason", err)
		return malformed
	}
	switch {
	case !senders.knowSecret(said):
		return noSecret
	case !said.newMail:
		return otherEvent
	case !said.inbox:
		return otherFolder
	}
	r.gathering.add(hints.Hint{
		Backend: Name, Name: senders.login(said.user),
		Hint: mailbox.Hint{Folder: mailbox.Inbox, UIDValidity: said.uidValidity, UID: said.uid, At: at},
	})
	return taken
}

func (s Senders) allowed(from net.Addr) bool {
	udp, ok := from.(*net.UDPAddr)
	if !ok {
		return true
	}
	ip := udp.AddrPort().Addr().Unmap()
	for _, prefix := range s.Allow {
		if prefix.Contains(ip.WithZone("")) {
			return true
		}
	}
	return false
}

func (s Senders) knowSecret(said datagram) bool {
	if s.Secret.IsZero() {
		return true
	}
	got, want := sha256.Sum256([]byte(said.option)), sha256.Sum256([]byte(s.Secret.Reveal()))
	return subtle.ConstantTimeCompare(got[:], want[:]) == 1
}

// login is the part of a user's name that is its login.
func (s Senders) login(user string) string {
	if s.LoginDelimiter == "" {
		return user
	}
	login, _, _ := strings.Cut(user, s.LoginDelimiter)
	return login
}
