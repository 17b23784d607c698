// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package mailnotify

import (
	"context"

	"mailpush.internal/services/listener-worker/internal/listen"
	"mailpush.internal/services/listener-worker/internal/listen/machine"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// Source reads mailboxes by another source, and has no connection open while no hint
// comes.
type Source struct{ listen.Source }

// Open implements [listen.Source].
func (s Source) Open(
	ctx context.Context, of mailbox.Listening, login listen.LoginFunc, notify listen.Notify,
) (listen.Reader, listen.Opening, error) {
	reader, opening, err := s.Source.Open(ctx, of, login, notify)
	opening.Waits = machine.ByHints
	return reader, opening, err
}
