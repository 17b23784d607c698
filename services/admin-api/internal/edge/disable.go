// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"cmp"
	"context"
	"time"

	"mailpush.internal/services/admin-api/internal/registry"
)

// byAdmin is why a subscription is disabled when the administrator does not say.
const byAdmin = "disabled by an administrator"

// everywhere is the reach of an administrator.
func everywhere(string) bool { return true }

// Enable lets a subscription be pushed to again, at its cursor.
func (e *Edge) Enable(ctx context.Context, id string) error {
	return e.change(ctx, id, everywhere, func(registry.Subscription) error { return e.Store.Enable(ctx, id) })
}

// Disable keeps a subscription from being pushed to.
func (e *Edge) Disable(ctx context.Context, id, reason string) error {
	return e.change(ctx, id, everywhere, func(registry.Subscription) error {
		return e.Store.Disable(ctx, id, cmp.Or(reason, byAdmin), time.Now())
	})
}
