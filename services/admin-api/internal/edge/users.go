// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"context"
	"time"

	"mailpush.internal/services/admin-api/internal/registry"
)

// Profile is a user, and how many subscriptions there are.
type Profile struct {
	registry.User

	Subscriptions, Disabled int
}

// ShowUser returns what is registered for a user; NotFound when nothing is.
func (e *Edge) ShowUser(ctx context.Context, user registry.UserID) (Profile, error) {
	u, err := e.Store.User(ctx, user)
	if err != nil {
		return Profile{}, err
	}
	subs, err := e.Store.Subscriptions(ctx, user)
	if err != nil {
		return Profile{}, err
	}
	p := Profile{User: u, Subscriptions: len(subs)}
	if _, byDoveadm := e.Policy.ByDoveadm(u); byDoveadm {
		p.Credential.Kind = registry.KindDoveadm
	}
	for _, s := range subs {
		if s.Disabled.Is {
			p.Disabled++
		}
	}
	return p, nil
}

// DisableUser ends a user's listener and pushes until EnableUser; it says whether that was
// so already. NotFound when there is no such user.
func (e *Edge) DisableUser(ctx context.Context, user registry.UserID, reason string) (already bool, err error) {
	return e.changeUser(ctx, user, func() (bool, error) { return e.Store.DisableUser(ctx, user, reason, time.Now()) })
}

// EnableUser lets a disabled user's pushes go on at their cursors; it says whether there was
// nothing to do. NotFound when there is no such user.
func (e *Edge) EnableUser(ctx context.Context, user registry.UserID) (already bool, err error) {
	return e.changeUser(ctx, user, func() (bool, error) { return e.Store.EnableUser(ctx, user) })
}

// changeUser changes a user under the user's lock and tells the shard's owner, also of what
// was so already: whoever says it again may have seen that it has not come about.
func (e *Edge) changeUser(ctx context.Context, user registry.UserID, fn func() (bool, error)) (already bool, err error) {
	unlock, err := e.locks.lock(ctx, user)
	if err != nil {
		return false, err
	}
	defer unlock()
	// Read before the change: after it the caller may have gone away.
	u, err := e.Store.User(ctx, user)
	if err != nil {
		return false, err
	}
	if already, err = fn(); err != nil {
		return false, err
	}
	e.touch(ctx, user, u.Store)
	return already, nil
}
