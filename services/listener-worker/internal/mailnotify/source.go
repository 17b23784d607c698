// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package mailnotify

import (
	"context"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/listen"
	"mailpush.internal/services/listener-worker/internal/listen/machine"
	"mailpush.internal/services/listener-worker/internal/listen/ondemand"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// Source reads mailboxes by another source. It keeps a connection for a while after it was
// used, and none while no hint comes.
type Source struct {
	by   listen.Source
	open *ondemand.Pool
}

var _ listen.Keeper = (*Source)(nil)

// NewSource makes a source that reads by another. Whoever made it closes it.
func NewSource(by listen.Source) *Source {
	return &Source{by: by, open: ondemand.New(by, 0)}
}

// Open implements [listen.Source].
func (s *Source) Open(
	ctx context.Context, of mailbox.Listening, login listen.LoginFunc, _ listen.Notify,
) (listen.Reader, listen.Opening, error) {
	reader, opening, err := s.open.Open(ctx, of, login)
	opening.Waits = machine.ByHints
	if err != nil {
		return nil, opening, err
	}
	return reader, opening, nil
}

// Baseline implements [listen.Source].
func (s *Source) Baseline(ctx context.Context, store *mailv1.MailStore, login mailbox.Login) (mailbox.End, error) {
	return s.by.Baseline(ctx, store, login)
}

// Forget implements [listen.Keeper].
func (s *Source) Forget(of mailbox.Listening, _ listen.LoginFunc, _ bool) { s.open.Forget(of.User) }

// Close closes what is open and has no listener.
func (s *Source) Close() { s.open.Close() }
