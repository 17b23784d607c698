// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"context"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
)

// Config sets up a Loop. The zero value is usable.
type Config struct {
	// Log receives what happens; nothing is logged when it is nil.
	Log *slog.Logger
	// Metrics registers the loop's metrics; none are kept when it is nil.
	Metrics prometheus.Registerer
	// Connects bounds how many connections are being opened at once, 64 when zero.
	// One mail store gets at most half of them.
	Connects int
}

// Loop runs listeners. Its methods may be called from any goroutine.
type Loop struct{}

// New makes a loop that does nothing until Run.
func New(cfg Config, creds Credentials, sink Sink) *Loop { return &Loop{} }

// Run runs the listeners until ctx ends, then closes all connections.
func (l *Loop) Run(ctx context.Context) error { <-ctx.Done(); return nil }

// Put adds a mailbox or updates it: a changed store reconnects, a grown
// credential version resumes a suspended listener.
func (l *Loop) Put(m Mailbox) {}

// Remove stops a user's listener.
func (l *Loop) Remove(u User) {}

// RemoveAll stops all listeners.
func (l *Loop) RemoveAll() {}

// Fetch asks for the mails from a UID on; Sink.Fetched answers. Calls that come
// before the answer are one, from the lowest UID asked for.
func (l *Loop) Fetch(u User, from uint32) {}

// Status reports the listeners of the users that have one.
func (l *Loop) Status(users []User) []Status { return nil }

// Len counts the listeners.
func (l *Loop) Len() int { return 0 }

// Baseline opens a mailbox once and tells where it ends. Error kinds:
// fault.Unauthenticated when the credential was refused, fault.Unavailable for
// anything else; the message says which.
func Baseline(ctx context.Context, store *mailv1.MailStore, login Login) (Box, error) {
	return Box{}, nil
}
