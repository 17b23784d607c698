// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"context"
	"time"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/services/admin-api/internal/registry"
)

// fakeHistory has the entries it is given, and those before a place are none.
type fakeHistory struct {
	entries   []registry.HistoryEntry
	forgotten int // how often it was to forget
}

func (f *fakeHistory) ListHistory(
	_ context.Context, user registry.UserID, since time.Time, before registry.Place, limit int,
) (out []registry.HistoryEntry, last registry.Place, _ error) {
	for _, e := range f.entries {
		if e.UserID == user && !e.At.Before(since) && before == (registry.Place{}) && len(out) < limit {
			out = append(out, e)
		}
	}
	return out, last, nil
}

func (f *fakeHistory) ForgetHistory(context.Context, time.Time, int) error {
	f.forgotten++
	return nil
}

func (f *fakeStore) DisableUser(_ context.Context, user registry.UserID, reason string, _ time.Time) (already bool, _ error) {
	return f.setEnabled(user, false, reason)
}

func (f *fakeStore) EnableUser(_ context.Context, user registry.UserID) (already bool, _ error) {
	return f.setEnabled(user, true, "")
}

func (f *fakeStore) setEnabled(user registry.UserID, enabled bool, reason string) (already bool, _ error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	u, ok := f.users[user]
	if !ok {
		return false, fault.New(fault.NotFound, "nothing is registered")
	}
	already, u.Enabled, u.Disabling.Reason = u.Enabled == enabled, enabled, reason
	f.users[user] = u
	return already, nil
}
