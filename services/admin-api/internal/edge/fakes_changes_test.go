// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"mailpush.internal/services/admin-api/internal/registry"
)

// fakeChanges writes down what is to become of subscriptions.
type fakeChanges struct {
	changes []string
	refuses error
}

func (f *fakeChanges) note(format string, args ...any) error {
	f.changes = append(f.changes, fmt.Sprintf(format, args...))
	return f.refuses
}

func (f *fakeChanges) Enable(_ context.Context, id string) error { return f.note("enable %s", id) }

func (f *fakeChanges) Restore(_ context.Context, id string) error { return f.note("restore %s", id) }

func (f *fakeChanges) Disable(_ context.Context, id, reason string, _ time.Time) error {
	return f.note("disable %s: %s", id, reason)
}

func (f *fakeChanges) Replay(_ context.Context, id, folder string, from uint32) (registry.Cursor, error) {
	return registry.Cursor{Folder: folder, UID: from - 1}, f.note("replay %s: %s from %d", id, folder, from)
}

// fakeEndpoints judges as it is told, by subscription.
type fakeEndpoints struct {
	verdicts map[string]registry.Verdict
	storms   map[string]registry.Storm
	forgot   int
	reported []registry.Report
}

func (f *fakeEndpoints) Report(_ context.Context, _ uint32, reports []registry.Report, _ time.Time) (out []registry.Verdict, _ error) {
	f.reported = append(f.reported, reports...)
	for _, r := range reports {
		out = append(out, f.verdicts[r.Subscription])
	}
	return out, nil
}

func (f *fakeEndpoints) Depart(_ context.Context, _ uint32, r registry.Report, _ time.Time) (registry.Departure, error) {
	return registry.Departure{
		Verdict: f.verdicts[r.Subscription], Storm: f.storms[r.Subscription], News: f.verdicts[r.Subscription] == registry.VerdictDisabled,
	}, nil
}

func (f *fakeEndpoints) ForgetDepartures(context.Context, time.Time) error {
	f.forgot++
	return nil
}

func (f *fakeStore) Rotate(_ context.Context, sub registry.Subscription, to registry.Signing, _ time.Time) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refuses != nil {
		return f.refuses
	}
	i := slices.IndexFunc(f.subs, func(s registry.Subscription) bool { return s.ID == sub.ID })
	delete(f.erasures, registry.Erasure{UserID: sub.UserID, Account: registry.WebhookAccount(sub.ID, to.Slot)})
	to.PreviousSlot = f.subs[i].Signing.Slot
	f.subs[i].Signing = to
	return nil
}

func (f *fakeStore) ListSubscriptions(
	_ context.Context, _ registry.UserID, afterKey, afterID string, limit int,
) (out []registry.Owned, _ error) {
	for _, s := range f.subs {
		if s.Key() > afterKey || s.Key() == afterKey && s.ID > afterID {
			out = append(out, registry.Owned{Subscription: s, Store: f.users[s.UserID].Store})
		}
	}
	slices.SortFunc(out, func(a, b registry.Owned) int { return strings.Compare(a.Key()+a.ID, b.Key()+b.ID) })
	return out[:min(limit, len(out))], nil
}

func (*fakeStore) ListDeadLetters(
	context.Context, string, registry.Place, int,
) ([]registry.DeadLetter, registry.Place, error) {
	return []registry.DeadLetter{{First: 1}}, registry.Place{At: 1}, nil
}
