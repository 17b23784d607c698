// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"context"
	"time"

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
	return e.remove(ctx, sub.UserID, func() (registry.Removed, error) { return e.Store.Unsubscribe(ctx, id) })
}

// Unregister removes a client of a user, allowed or not any more.
func (e *Edge) Unregister(ctx context.Context, user registry.UserID, client string) error {
	return e.remove(ctx, user, func() (registry.Removed, error) { return e.Store.Unregister(ctx, user, client) })
}

// remove takes away from the registry, then tells the worker, then the vault. What
// the vault does not delete now it will delete later: the registry has noted it.
func (e *Edge) remove(ctx context.Context, user registry.UserID, take func() (registry.Removed, error)) error {
	unlock, err := e.locks.lock(ctx, user)
	if err != nil {
		return err
	}
	defer unlock()
	removed, err := take()
	if err != nil {
		return err
	}
	told := e.touch(ctx, user, removed.User.Store)
	e.erase(ctx, removed.Erasures)
	return told
}

// undo removes from the vault what a failed Subscribe has put there, unless the
// registry has come to need it all the same: the answer of a commit may be lost.
func (n *enrolment) undo(ctx context.Context) {
	ctx, cancel := unhurried(ctx)
	defer cancel()
	if _, err := n.Store.Subscription(ctx, n.sub.ID); err == nil && !n.known {
		return
	}
	var erasures []registry.Erasure
	for _, account := range n.sealed {
		if u, err := n.Store.User(ctx, n.User); err == nil && account == registry.MailAccount &&
			u.Credential.State != registry.CredentialNone {
			continue // another replica has subscribed the user in the meantime
		}
		erasures = append(erasures, registry.Erasure{UserID: n.User, Account: account})
	}
	if err := n.Store.Erase(ctx, erasures); err != nil {
		n.Log.ErrorContext(ctx, "erasure not noted", "user", n.User, "error", err)
	}
	n.erase(ctx, erasures)
}

// erase deletes credentials from the vault and forgets the notes about them; it says
// whether all went well. The caller holds the user's lock.
func (e *Edge) erase(ctx context.Context, erasures []registry.Erasure) bool {
	ctx, cancel := unhurried(ctx)
	defer cancel()
	all := true
	for _, one := range erasures {
		err := e.Vault.Delete(ctx, one.UserID, one.Account)
		if err == nil {
			err = e.Store.Erased(ctx, one)
		}
		if err != nil {
			e.Log.WarnContext(ctx, "credential not erased yet", "user", one.UserID, "account", one.Account, "error", err)
			all = false
		}
	}
	return all
}

const (
	eraseInterval = 30 * time.Second
	eraseBatch    = 100
)

// Run erases what the vault would not delete when it was asked, and forgets
// departures that count no more, until ctx ends.
func (e *Edge) Run(ctx context.Context) error {
	tick := time.NewTicker(eraseInterval)
	defer tick.Stop()
	for {
		if err := e.EraseNoted(ctx); err != nil && ctx.Err() == nil {
			e.Log.WarnContext(ctx, "erasures not read", "error", err)
		}
		if err := e.Store.ForgetDepartures(ctx, time.Now()); err != nil && ctx.Err() == nil {
			e.Log.WarnContext(ctx, "departures not forgotten", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// EraseNoted deletes one batch of noted credentials from the vault.
func (e *Edge) EraseNoted(ctx context.Context) error {
	erasures, err := e.Store.Erasures(ctx, eraseBatch)
	if err != nil {
		return err
	}
	for _, one := range erasures {
		if err := e.eraseNoted(ctx, one); err != nil {
			return err
		}
	}
	return nil
}

func (e *Edge) eraseNoted(ctx context.Context, one registry.Erasure) error {
	unlock, err := e.locks.lock(ctx, one.UserID)
	if err != nil {
		return err
	}
	defer unlock()
	// The user may have come back while the lock was not held.
	noted, err := e.Store.Noted(ctx, one)
	if err != nil || !noted {
		return err
	}
	e.erase(ctx, []registry.Erasure{one})
	return nil
}
