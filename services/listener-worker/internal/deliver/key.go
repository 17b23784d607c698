// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deliver

import (
	"context"
	"time"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/pkg/secret"
	"mailpush.internal/services/listener-worker/internal/mailbox"
	"mailpush.internal/services/listener-worker/internal/transport"
)

// key is what signs the pushes of a subscription. The zero value is not opened yet.
type key struct {
	newest   secret.String
	previous secret.String // zero when the receiver has had its time to change over
	until    time.Time     // when the previous one ends
}

// at is the key as it signs at a time: while one secret follows another, by both.
func (k *key) at(now time.Time) secret.String {
	if k.previous.IsZero() {
		return k.newest
	}
	if !now.Before(k.until) {
		k.previous = secret.String{}
		return k.newest
	}
	return secret.New(k.newest.Reveal() + " " + k.previous.Reveal())
}

func (k *key) opened() bool { return !k.newest.IsZero() }

// edition tells one key of a subscription from the next.
type edition struct {
	version, revision uint64
	slot              uint32
	until             int64 // UNIX time in nanoseconds
}

func editionOf(subscription *transport.Subscription) edition {
	return edition{
		version: subscription.GetSecretVersion(), revision: subscription.GetRevision(),
		slot: subscription.GetSecretSlot(), until: previousUntil(subscription).UnixNano(),
	}
}

// previousUntil is when the secret in the other slot ends: long ago without one.
func previousUntil(subscription *transport.Subscription) time.Time {
	return subscription.GetPreviousSecretUntil().AsTime()
}

// openKey asks the vault for the secret of a subscription, and for the one before it
// while that is in force.
func openKey(ctx context.Context, secrets Secrets, user mailbox.User, subscription *transport.Subscription) (key, error) {
	id := subscription.GetId()
	newest, err := secrets.SigningSecret(ctx, user, id, subscription.GetSecretSlot())
	out := key{newest: newest, until: previousUntil(subscription)}
	if err != nil || !time.Now().Before(out.until) {
		return out, err
	}
	out.previous, err = secrets.SigningSecret(ctx, user, id, previousSlot(subscription))
	if fault.KindOf(err) == fault.NotFound {
		return out, nil // it ended early
	}
	return out, err
}

// previousSlot is where the secret before the current one is. A registry of an earlier
// release does not say: it knows the slots 0 and 1 only.
func previousSlot(subscription *transport.Subscription) uint32 {
	if subscription.PreviousSecretSlot != nil {
		return subscription.GetPreviousSecretSlot()
	}
	return 1 - subscription.GetSecretSlot()
}

// keep remembers an opened key, unless there is a newer one to open by now.
func (lane *lane) keep(opened key, of edition) {
	if opened.opened() && editionOf(lane.subscription) == of {
		lane.key = opened
	}
}
