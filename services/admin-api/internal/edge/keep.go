// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"cmp"
	"context"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/services/admin-api/internal/registry"
)

// renew goes on from what is stored of the device.
func (n *enrolment) renew(old registry.Subscription) {
	n.old = old
	n.sub.ID, n.sub.Cursors = old.ID, old.Cursors
	n.sub.Signing.Version = old.Signing.Version
	n.sub.Signing.Slot = freshSlot(old.Signing.Slot, old.Signing.PreviousSlot)
	if n.Secret.IsZero() {
		n.sub.Signing.Scheme = cmp.Or(n.Scheme, old.Signing.Scheme, registry.SchemeV1)
	}
	n.sub.Headers = old.Headers
}

// keepSecret has the secret that there is stay when the request brings none, and none of
// another scheme is asked for: an application that subscribes at each start goes on with
// what its receiver knows, and a rotation under way goes on, too. A vault that keeps
// nothing on disk may have lost it; then another one is made.
func (n *enrolment) keepSecret(ctx context.Context) (stays bool, err error) {
	signing := n.old.Signing
	if n.old.ID == "" || !n.Secret.IsZero() || signing.Scheme != n.sub.Signing.Scheme || n.old.Target.Transport != n.Target.Transport {
		return false, nil
	}
	stays, err = n.Vault.Has(ctx, n.User, registry.WebhookAccount(n.old.ID, signing.Slot))
	if stays {
		n.sub.Signing = signing
	}
	return stays, err
}

// checkHeadersStay refuses to keep headers for another origin than they were given for:
// their values are shown to nobody, and whoever can name another URL must not be sent
// them.
func (n *enrolment) checkHeadersStay() error {
	if !n.keepsHeaders() || n.old.Target.Origin() == n.Target.Origin() {
		return nil
	}
	return fault.Field("webhook.headers", "those that there are were given for %s: give them again, or set webhook.clearHeaders",
		n.old.Target.Origin())
}

// keepsHeaders says whether there are headers that the request leaves as they are.
func (n *enrolment) keepsHeaders() bool {
	return n.old.Headers.Slot != 0 && !n.ClearHeaders && len(n.Headers) == 0
}

// headersStay refuses to go on with headers that the vault has lost: nobody can make them
// anew but who has given them.
func (n *enrolment) headersStay(ctx context.Context) error {
	there, err := n.Vault.Has(ctx, n.User, registry.HeadersAccount(n.old.ID, n.old.Headers.Slot))
	if err == nil && !there {
		err = fault.New(fault.Precondition, "webhook.headers: those that there were are not in the vault any more: give them again, or set webhook.clearHeaders")
	}
	return err
}
