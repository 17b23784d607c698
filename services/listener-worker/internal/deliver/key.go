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

// key is what signs the pushes of a subscription, and the headers that they carry. The
// zero value is not opened yet.
type key struct {
	newest   secret.String
	previous secret.String      // zero when the receiver has had its time to change over
	until    int64              // when the previous one ends, UNIX time in nanoseconds
	headers  *transport.Headers // nil when there are none
}

// at is the key as it signs at a time: while one secret follows another, by both.
func (k *key) at(now time.Time) secret.String {
	if k.previous.IsZero() {
		return k.newest
	}
	if now.UnixNano() >= k.until {
		k.previous = secret.String{}
		return k.newest
	}
	return secret.New(k.newest.Reveal() + " " + k.previous.Reveal())
}

func (k *key) opened() bool { return !k.newest.IsZero() }

// edition tells one key of a subscription from the next.
type edition struct {
	version, revision uint64
	slot, headers     uint32
	until             int64 // UNIX time in nanoseconds
}

func editionOf(subscription *transport.Subscription) edition {
	return edition{
		version: subscription.SecretVersion, revision: subscription.Revision,
		slot: subscription.SecretSlot, headers: subscription.HeaderSlot, until: subscription.PreviousSecretUntil,
	}
}

// openKey asks the vault for the secret of a subscription, for the headers that there may
// be, and for the secret before it while that is in force.
func openKey(ctx context.Context, secrets Secrets, user mailbox.User, subscription *transport.Subscription) (key, error) {
	id := subscription.ID
	newest, err := secrets.SigningSecret(ctx, user, id, subscription.SecretSlot)
	out := key{newest: newest, until: subscription.PreviousSecretUntil}
	if err == nil && subscription.HeaderSlot != 0 {
		out.headers, err = openHeaders(ctx, secrets, user, subscription)
	}
	if err != nil || time.Now().UnixNano() >= out.until {
		return out, err
	}
	out.previous, err = secrets.SigningSecret(ctx, user, id, subscription.PreviousSecretSlot)
	if fault.KindOf(err) == fault.NotFound {
		return out, nil // it ended early
	}
	return out, err
}

// errNoHeaders says that the vault has lost the headers: what it keeps in memory only is
// gone with it. Nothing is pushed without them, for it would be refused, or go astray.
var errNoHeaders = fault.New(fault.NotFound, "the webhook's headers are not in the vault any more: subscribe again with them")

func openHeaders(ctx context.Context, secrets Secrets, user mailbox.User, subscription *transport.Subscription) (*transport.Headers, error) {
	headers, err := secrets.Headers(ctx, user, subscription.ID, subscription.HeaderSlot)
	if fault.KindOf(err) == fault.NotFound {
		return nil, errNoHeaders
	}
	return headers, err
}

// keep remembers an opened key, unless there is a newer one to open by now.
func (lane *lane) keep(opened key, of edition) {
	if opened.opened() && editionOf(lane.subscription) == of {
		lane.key = opened
	}
}
