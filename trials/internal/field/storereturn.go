// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package field

import (
	"context"
	"time"

	"mailpush.internal/trials/internal/rig"
)

const (
	// stores is the tenant of those whose mail store goes away.
	stores = "store"
	// perListener is more than one more listener costs at the start.
	perListener = 50 * time.Millisecond
)

// StoreReturn stops Dovecot under listeners for a while, and measures how long it takes
// from its first answer until the last of them is back in IDLE; longer than within when it
// is not by then. Those of the call before are there still, and there may not be fewer now.
// Nothing may run beside it.
func (w *World) StoreReturn(ctx context.Context, listeners int, away, within time.Duration) (time.Duration, error) {
	g, err := w.listeners(ctx, listeners)
	if err != nil {
		return 0, err
	}
	w.tell("store: Dovecot is stopped under %d listeners for %v", listeners, away)
	stopped := time.Now()
	if err := w.dovecot.Stop(); err != nil {
		return 0, err
	}
	if err := w.awaitIdle(ctx, settle, g, 0); err != nil {
		return 0, err
	}
	if err := rig.Pause(ctx, away-time.Since(stopped)); err != nil {
		return 0, err
	}
	if err := w.dovecot.StartAgain(); err != nil {
		return 0, err
	}
	answered := time.Now()
	err = w.awaitIdle(ctx, within, g, listeners)
	took := time.Since(answered)
	if ctx.Err() != nil {
		return took, err
	}
	if err != nil {
		w.tell("store: %v", err)
	}
	w.tell("store: %.1f s after Dovecot's first answer", took.Seconds())
	return took, nil
}

// listeners are so many in IDLE at Dovecot.
func (w *World) listeners(ctx context.Context, n int) (*group, error) {
	all := newGroup(stores, "store", n)
	fresh := &group{tenant: stores, users: all.users[min(w.atDovecot, n):], secrets: make(map[string]string)}
	w.tell("store: %d mailboxes are subscribed", len(fresh.users))
	for _, user := range fresh.users {
		if err := w.dovecot.AddUser(user, rig.Password); err != nil {
			return nil, err
		}
	}
	w.atDovecot = n
	if w.sink == nil {
		var err error
		if w.sink, err = newOrigin("127.0.0.15"); err != nil {
			return nil, err
		}
	}
	if err := w.subscribe(ctx, dovecotStore, fresh, w.sink.url); err != nil {
		return nil, err
	}
	return all, w.awaitIdle(ctx, settle+time.Duration(n)*perListener, all, n)
}
