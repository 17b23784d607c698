// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"context"
	"slices"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/services/admin-api/internal/decide"
	"mailpush.internal/services/admin-api/internal/registry"
)

// Explain walks the decision for one user. A user that nobody has registered is
// explained, too: by its first check.
func (e *Edge) Explain(ctx context.Context, user registry.UserID) (decide.Decision, error) {
	u, err := e.Store.User(ctx, user)
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return decide.Decision{}, err
	}
	return decide.Listener(e.Policy, u, e.capability(ctx, e.Policy.Stores[u.Store])), nil
}

func (e *Edge) capability(ctx context.Context, backend string) decide.Capability {
	members, err := e.Scheduler.Members(ctx)
	if err != nil {
		e.Log.WarnContext(ctx, "scheduler did not answer", "error", err)
		return decide.Unknown
	}
	if slices.ContainsFunc(members.Workers, func(w Worker) bool { return slices.Contains(w.Backends, backend) }) {
		return decide.Capable
	}
	return decide.Incapable
}
