// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"cmp"
	"context"

	"mailpush.internal/services/admin-api/internal/registry"
)

// inbox is the folder that is meant when none is named.
const inbox = "INBOX"

// Replay has the mails of a folder pushed again from a UID on, and returns the cursor
// from which it goes on.
func (e *Edge) Replay(ctx context.Context, id, folder string, from uint32) (cursor registry.Cursor, err error) {
	err = e.change(ctx, id, everywhere, func(registry.Subscription) error {
		cursor, err = e.Store.Replay(ctx, id, cmp.Or(folder, inbox), from)
		return err
	})
	return cursor, err
}

// DeadLetters returns a page of up to limit dead letters before a place, the newest
// first, and the place of the last, zero when no more follow; id may be empty for all.
func (e *Edge) DeadLetters(
	ctx context.Context, id string, before registry.Place, limit int,
) ([]registry.DeadLetter, registry.Place, error) {
	if id != "" {
		if _, err := e.Store.Subscription(ctx, id); err != nil {
			return nil, registry.Place{}, err
		}
	}
	return e.Store.ListDeadLetters(ctx, id, before, limit)
}
