// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"context"
	"time"

	"mailpush.internal/pkg/condition"
	"mailpush.internal/pkg/fault"
	"mailpush.internal/services/admin-api/internal/registry"
)

// Unsubscribe removes a subscription of a context that covers accepts. One of
// another context does not exist for the caller.
func (e *Edge) Unsubscribe(ctx context.Context, id string, covers func(contextID string) bool) error {
	sub, err := e.Store.Subscription(ctx, id)
	if err != nil {
		return err
	}
	if !covers(sub.Context) {
		return fault.New(fault.NotFound, "no such subscription: %s", id)
	}
	return e.remove(ctx, sub.UserID, reasonUnsubscribed, func() (registry.Removed, error) { return e.Store.Unsubscribe(ctx, id) })
}

// Unregister removes a client of a user, allowed or not any more.
func (e *Edge) Unregister(ctx context.Context, user registry.UserID, client string) error {
	return e.remove(ctx, user, reasonUnregistered, func() (registry.Removed, error) { return e.Store.Unregister(ctx, user, client) })
}

// remove takes away from the registry, then tells the worker, the endpoints, and the
// vault, which has what signs to the endpoints. A worker that cannot be told now is told
// later, and what the vault does not delete now it deletes later: the registry has noted
// it.
func (e *Edge) remove(ctx context.Context, user registry.UserID, reason string, take func() (registry.Removed, error)) error {
	unlock, err := e.locks.lock(ctx, user)
	if err != nil {
		return err
	}
	defer unlock()
	removed, err := take()
	if err != nil {
		return err
	}
	e.touch(ctx, user, removed.User.Store)
	e.tellEnding(ctx, removed, reason)
	e.erase(ctx, removed.Erasures)
	return nil
}

// erase deletes credentials from the vault and forgets the notes about them. What fails is
// tried again later, by the note that stays.
func (e *Edge) erase(ctx context.Context, erasures []registry.Erasure) {
	ctx, cancel := unhurried(ctx)
	defer cancel()
	for _, one := range erasures {
		err := e.Vault.Delete(ctx, one.UserID, one.Account)
		if err == nil {
			err = e.Store.Erased(ctx, one)
		}
		note(ctx, e.erasing, err, "user", one.UserID, "account", one.Account)
	}
}

const (
	catchUpInterval = 30 * time.Second
	eraseBatch      = 100
	historyBatch    = 1000
)

// Run tells the owners that could not be told, erases what the vault would not delete
// when it was asked, deletes what has been gone for long, and forgets departures that count
// no more and history that is too old, until ctx ends.
func (e *Edge) Run(ctx context.Context) error {
	tick := time.NewTicker(catchUpInterval)
	defer tick.Stop()
	for {
		e.TellUntold(ctx)
		note(ctx, e.erasing, e.EraseNoted(ctx))
		note(ctx, e.expiring, e.DeleteGone(ctx))
		note(ctx, e.forgetting, e.Store.ForgetDepartures(ctx, time.Now()))
		note(ctx, e.trimming, e.Store.ForgetHistory(ctx, time.Now(), historyBatch))
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// note takes note of what became of something that is tried again.
func note(ctx context.Context, of *condition.Condition, err error, args ...any) {
	switch {
	case err == nil:
		of.Worked(ctx)
	case ctx.Err() == nil:
		of.Failed(ctx, err, args...)
	}
}

// EraseNoted deletes one batch of noted credentials from the vault. Of what is noted
// nothing comes back, so it needs no lock.
func (e *Edge) EraseNoted(ctx context.Context) error {
	erasures, err := e.Store.Erasures(ctx, time.Now(), eraseBatch)
	if err != nil {
		return err
	}
	e.erase(ctx, erasures)
	return nil
}
