// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"context"
	"time"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/services/admin-api/internal/registry"
)

// History returns a page of up to limit entries of what has happened to a user since a time,
// the newest first, before a place in the listing, and the place of the last, zero when no
// more follow. NotFound when nothing is known of such a user.
func (e *Edge) History(
	ctx context.Context, user registry.UserID, since time.Time, before registry.Place, limit int,
) (list []registry.HistoryEntry, last registry.Place, err error) {
	list, last, err = e.Store.ListHistory(ctx, user, since, before, limit)
	if err != nil || len(list) > 0 || before != (registry.Place{}) {
		return list, last, err
	}
	return nil, last, e.known(ctx, user)
}

// known refuses a user of whom there is no registration and no history: a name that is
// mistyped must not read as one to whom nothing has happened.
func (e *Edge) known(ctx context.Context, user registry.UserID) error {
	_, err := e.Store.User(ctx, user)
	if fault.KindOf(err) != fault.NotFound {
		return err
	}
	ever, _, err := e.Store.ListHistory(ctx, user, time.Time{}, registry.Place{}, 1)
	if err == nil && len(ever) == 0 {
		err = fault.New(fault.NotFound, "nothing is known of user %s: nothing is registered, and nothing has happened in %d days",
			user, int(registry.HistoryKept/(24*time.Hour)))
	}
	return err
}
